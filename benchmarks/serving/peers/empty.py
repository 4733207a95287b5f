"""The ceiling of the web server: an ASGI handler that reads nothing and always says the same."""


async def app(scope, _receive, send):  # noqa: ANN001, ANN201
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})
