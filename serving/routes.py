"""What each address answers. Bodies are read in ``body.py``, errors become answers in ``middleware.py``."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from serving.body import Row, read_body, read_rows
from serving.docs_page import docs_page
from serving.errors import RequestRefused
from serving.release import LoadedRelease
from serving.responses import json_response, to_json
from serving.row_schema import row_schema
from serving.service import Service

P = ParamSpec("P")
T = TypeVar("T")

# What is larger is done in a thread, so that the event loop is never held for longer than about a millisecond.
INLINE_BYTES = 32_768
INLINE_ROWS = 64
RELOAD_WAIT_SECONDS = 30.0


async def predict(request: Request) -> Response:
    service = _service(request)
    _check_type(request)
    declared = request.headers.get("content-length")
    body = await read_body(request.stream(), declared, service.settings.max_body_bytes)
    large = len(body) > INLINE_BYTES
    rows = await _call(large, read_rows, body, service.settings.max_rows)
    release = service.slot.take()
    request.scope["release"] = release  # for the headers of this answer
    content = await _call(large or len(rows) > INLINE_ROWS, _answer, release, rows)
    return Response(content, media_type="application/json")


def _answer(release: LoadedRelease, rows: Sequence[Row]) -> bytes:
    answers = release.predict(rows)
    columns = [values.tolist() for values in answers.values()]
    document = {
        "predictions": [dict(zip(answers, row, strict=True)) for row in zip(*columns, strict=True)],
        "model": release.model,
        "version": release.version,
        "digest": release.digest,
        "unit": release.schema.output_unit,
    }
    return to_json(document)


async def _call(in_thread: bool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await run_in_threadpool(function, *args, **kwargs) if in_thread else function(*args, **kwargs)


def _check_type(request: Request) -> None:
    """A body that says it is something else, or compressed, is refused. Saying nothing is fine."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" or request.headers.get("content-encoding", "identity") != "identity":
        raise RequestRefused(
            "not_json_type", "send the header 'Content-Type: application/json' and no Content-Encoding"
        )


async def model(request: Request) -> Response:
    return json_response(_service(request).reconciler.status().to_dict())


async def reload(request: Request) -> Response:
    """A hint without content: answers the status after one whole look, or 202 when that takes long."""
    service = _service(request)
    _check_token(request, service.settings.push_token.get_secret_value())
    hint = asyncio.wrap_future(service.reconciler.hint())
    done, _ = await asyncio.wait([hint], timeout=RELOAD_WAIT_SECONDS)
    request.scope["release"] = service.slot.live
    return json_response(service.reconciler.status().to_dict(), 200 if done else 202)


def _check_token(request: Request, token: str) -> None:
    if not token:
        raise RequestRefused("push_disabled", "no push token is configured here; the channel is followed by polling")
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode("latin-1"), f"Bearer {token}".encode()):
        raise RequestRefused("unauthorized", "send the header 'Authorization: Bearer ...' with the push token")


async def schema(request: Request) -> Response:
    release = request.scope["release"] = _service(request).slot.take()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"A row for {release.model}"}
    return json_response({**head, **row_schema(release.schema)})


async def livez(_: Request) -> Response:
    return json_response({"status": "alive"})


async def readyz(request: Request) -> Response:
    request.scope["release"] = _service(request).probe.check()
    return json_response({"status": "ready"})


async def docs(request: Request) -> Response:
    service = _service(request)
    release = request.scope["release"] = service.slot.live
    return HTMLResponse(docs_page(service.settings.model, release))


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ROUTES = [
    Route("/v1/predict", predict, methods=["POST"]),
    Route("/v1/model", model),
    Route("/v1/reload", reload, methods=["POST"]),
    Route("/v1/schema", schema),
    Route("/livez", livez),
    Route("/readyz", readyz),
    Route("/docs", docs),
]
