"""The OpenAPI document, written from the live release: its columns, units, ranges and a working example."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.contract.status import Status
from serving.openapi_parts import Described, Document, content, object_of, operation, posted, ref
from serving.release import LoadedRelease
from serving.responses import PROBLEMS, json_response
from serving.row_schema import columns_schema, row_schema
from serving.service import Service
from serving.variants_openapi import variant_schemas

API_VERSION = "1"
ANYBODY: list[Document] = []  # an operation that asks nobody who they are


class Describes(Protocol):
    """What the document needs of a door."""

    def describe(self, model: str, release: LoadedRelease | None) -> Described: ...


def openapi(model: str, release: LoadedRelease | None, doors: Iterable[Describes]) -> Document:
    """OpenAPI 3.1. Before the first release a row is any object."""
    live = "no release is live yet" if release is None else f"release {release.version}, {release.digest[:12]}"
    described = [door.describe(model, release) for door in doors]
    row = {"type": "object"} if release is None else row_schema(release.schema)
    columns = {"type": "object"} if release is None else columns_schema(release.schema)
    parts = {name: schema for part in described for name, schema in part.schemas.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Gavel: {model}", "version": API_VERSION, "description": f"Live: {live}."},
        "security": [{}, {"key": []}, {"bearer": []}],
        "paths": {path: found for part in described for path, found in part.paths.items()} | _paths(),
        "components": {
            "schemas": {"Row": row, "Columns": columns, **_schemas(), **parts},
            "responses": {"Problem": content("What is wrong", "Problem", "application/problem+json")},
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "bearer": {"type": "http", "scheme": "bearer", "description": "an API key or an OAuth2 token"},
            },
        },
    }


def openapi_route(doors: Iterable[Describes]) -> Route:
    """``GET /openapi.json``, written anew each time it is asked for."""

    async def document(request: Request) -> Response:
        service: Service = request.scope["service"]
        release = request.scope["release"] = service.slot.live
        return json_response(openapi(service.settings.model, release, doors))

    return Route("/openapi.json", document)


def _paths() -> Document:
    status, health = content("Done", "Status"), content("Done", "Health")
    look = operation("reload", "Look at the channel at once", status, 401, 403, 429, 500)
    look["responses"]["202"] = content("The look has not ended yet", "Status")
    figures = {"description": "Figures in the text format of Prometheus", "content": {"text/plain": {}}}
    guarded = (401, 403, 429, 500)
    admin: Document = {"security": [{"key": []}, {"bearer": []}]}
    tried = content("Done: it answers, or has a problem", "Tried")
    trial = operation("trial", "Does a release answer its golden rows?", tried, 400, 404, 413, 503, *guarded)
    variants = operation(
        "variants", "Figures of champion, challenger and shadow", content("Done", "Variants"), *guarded
    )
    pairs = operation("pairs", "Answers of champion and shadow to the same rows", content("Done", "Pairs"), *guarded)
    return {
        "/v1/model": {"get": operation("model", "What is live, and why not what ought to be", status, *guarded)},
        "/v1/reload": {"post": {**look, **admin}},
        "/v1/trial": posted(content("Which release", "TrialRequest"), {**trial, **admin}),
        "/v1/variants": {"get": {**variants, **admin}},
        "/v1/pairs": {"get": {**pairs, **admin}},
        "/v1/schema": {
            "get": operation(
                "schema", "JSON Schema of a row, of the live release", content("Done", "JsonSchema"), *guarded, 503
            )
        },
        "/metrics": {"get": operation("metrics", "Figures for Prometheus", figures, *guarded)},
        "/livez": {"get": {**operation("livez", "Is the process alive?", health, 429, 500), "security": ANYBODY}},
        "/readyz": {
            "get": {
                **operation("readyz", "Does it answer a recorded request rightly?", health, 429, 500, 503),
                "security": ANYBODY,
            }
        },
    }


def _schemas() -> Document:
    text, code = {"type": "string"}, {"type": "string", "enum": list(PROBLEMS)}
    row_error = object_of(row={"type": "integer"}, column=text, code=text, message=text)
    problem = object_of(type=text, title=text, status={"type": "integer"}, code=code, detail=text)
    problem["properties"]["errors"] = {"type": "array", "items": ref("RowError")}
    return {
        "RowError": row_error,
        "Problem": problem,
        "Status": object_of(**{name: {} for name in Status.__dataclass_fields__}),
        "Health": object_of(status=text),
        **variant_schemas(),
        "JsonSchema": {"type": "object"},
    }
