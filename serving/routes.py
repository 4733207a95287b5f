"""What each address answers that is not a door: status, reload, schema, health, pages. Errors are ``edge.py``'s."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from serving import metrics, readings
from serving.body import read_body
from serving.candidates import read_asked
from serving.docs_page import docs_page
from serving.responses import json_response
from serving.row_schema import row_schema
from serving.service import Service

RELOAD_WAIT_SECONDS = 30.0
MAX_TRIAL_BYTES = 1_000
encode = msgspec.json.Encoder().encode


async def model(request: Request) -> Response:
    return json_response((await _service(request).replica.status()).to_dict())


async def reload(request: Request) -> Response:
    """A hint without content: answers the status after one whole look of every worker, or 202 when that takes long."""
    service = _service(request)
    status, done = await service.replica.look(RELOAD_WAIT_SECONDS)
    request.scope["release"] = service.slot.live
    return json_response(status.to_dict(), 200 if done else 202)


async def trial(request: Request) -> Response:
    """Does a release of the store answer its golden rows? It is tried as every release is, and does not go live."""
    headers = request.scope["fields"]
    body = await read_body(request.receive, headers.get(b"content-length"), MAX_TRIAL_BYTES)
    request.scope["caller"].accept_body(body)
    asked = read_asked(body)
    return _encoded(encode(await run_in_threadpool(_service(request).candidates.try_out, asked)))


async def variants(request: Request) -> Response:
    """What was counted of champion, challenger and shadow, over all workers."""
    service = _service(request)
    lines = await service.replica.lines("variants")
    return json_response({"model": service.settings.model, **readings.all_figures(lines, service.settings.workers)})


async def pairs(request: Request) -> Response:
    """What champion and shadow answered to the same rows, of all workers."""
    service = _service(request)
    lines = await service.replica.lines("pairs")
    return _encoded(await run_in_threadpool(readings.all_pairs, lines, service.settings.workers))


def _encoded(document: bytes) -> Response:
    return Response(document, media_type="application/json")


async def schema(request: Request) -> Response:
    release = request.scope["release"] = _service(request).slot.take()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"A row for {release.model}"}
    return json_response({**head, **row_schema(release.schema)})


async def livez(_: Request) -> Response:
    return json_response({"status": "alive"})


async def readyz(request: Request) -> Response:
    request.scope["release"] = await _service(request).replica.prove()
    return json_response({"status": "ready"})


async def docs(request: Request) -> Response:
    service = _service(request)
    release = request.scope["release"] = service.slot.live
    return HTMLResponse(docs_page(service.settings.model, release))


async def figures(_: Request) -> Response:
    return Response(await run_in_threadpool(metrics.page), media_type=metrics.CONTENT_TYPE)


def _service(request: Request) -> Service:
    service: Service = request.scope["service"]
    return service


ROUTES = [
    Route("/v1/model", model),
    Route("/v1/reload", reload, methods=["POST"]),
    Route("/v1/trial", trial, methods=["POST"]),
    Route("/v1/variants", variants),
    Route("/v1/pairs", pairs),
    Route("/v1/schema", schema),
    Route("/livez", livez),
    Route("/readyz", readyz),
    Route("/docs", docs),
    Route("/metrics", figures),
]
