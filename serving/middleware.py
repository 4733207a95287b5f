"""The edge of the application: errors become problem+json, every answer names the release behind it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.contract.schema import RowsInvalid
from serving.errors import NoRelease, NotReady, RequestRefused
from serving.responses import problem, rows_problem
from serving.service import Service

log = logging.getLogger(__name__)

HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}


class Edge:
    """Around everything: headers that name the release, and a plain 500 for what nobody expected."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_named(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"].extend(self._headers(scope))
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except Exception:
            log.exception("a request failed unexpectedly", extra={"fields": {"path": scope["path"]}})
            if started:
                raise
            await problem("internal_error", "the log of this process has the details")(scope, receive, send_named)

    def _headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        headers = [(b"x-content-type-options", b"nosniff")]
        if self._service.probe.draining:
            headers.append((b"connection", b"close"))  # so that clients connect elsewhere before the end
        release = scope.get("release") or self._service.slot.live
        if release is not None:
            headers.append((b"x-model-version", str(release.version).encode()))
            headers.append((b"x-model-digest", release.digest.encode()))
        return headers


async def _request_refused(_: Request, error: RequestRefused) -> Response:
    headers = {"www-authenticate": "Bearer"} if error.code == "unauthorized" else None
    return problem(error.code, str(error), headers)


async def _rows_invalid(_: Request, error: RowsInvalid) -> Response:
    return rows_problem(error.errors)


async def _not_ready(_: Request, error: NotReady) -> Response:
    code = "no_release" if isinstance(error, NoRelease) else "not_ready"
    return problem(code, str(error), {"retry-after": "1"})


async def _http(_: Request, error: HTTPException) -> Response:
    code = HTTP_CODES.get(error.status_code, "bad_request")
    return problem(code, "the addresses and their methods are listed at /docs", error.headers)


async def _gone(_: Request, __: ClientDisconnect) -> Response:
    return problem("bad_request", "the client went away")  # nobody reads it


HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    RequestRefused: _request_refused,
    RowsInvalid: _rows_invalid,
    NotReady: _not_ready,
    HTTPException: _http,
    ClientDisconnect: _gone,
}
