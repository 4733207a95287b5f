"""The OpenAPI document, written from the live release: its columns, units, ranges and a working example."""

from __future__ import annotations

from typing import Any

from pipeline.contract.schema import Schema
from pipeline.contract.status import Status
from serving.release import LoadedRelease
from serving.responses import PROBLEMS
from serving.row_schema import example_row, row_schema

API_VERSION = "1"

Document = dict[str, Any]


def openapi(model: str, release: LoadedRelease | None) -> Document:
    """OpenAPI 3.1. Before the first release a row is any object."""
    live = "no release is live yet" if release is None else f"release {release.version}, {release.digest[:12]}"
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Gavel: {model}", "version": API_VERSION, "description": f"Live: {live}."},
        "paths": _paths(),
        "components": {
            "schemas": {**_request(release), **_answer(release), **_fixed()},
            "responses": {"Problem": _content("What is wrong", "Problem", "application/problem+json")},
            "securitySchemes": {"push": {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths() -> Document:
    body = {"required": True, "content": {"application/json": {"schema": _ref("PredictRequest")}}}
    predict = _operation("predict", "Prices for rows", "Predictions", 400, 413, 415, 422, 500, 503)
    reload = _operation("reload", "Look at the channel at once", "Status", 401, 403, 500)
    reload["responses"]["202"] = _content("The look has not ended yet", "Status")
    return {
        "/v1/predict": {"post": {**predict, "requestBody": body}},
        "/v1/model": {"get": _operation("model", "What is live, and why not what ought to be", "Status", 500)},
        "/v1/reload": {"post": {**reload, "security": [{"push": []}]}},
        "/v1/schema": {"get": _operation("schema", "JSON Schema of a row, of the live release", "JsonSchema", 503)},
        "/livez": {"get": _operation("livez", "Is the process alive?", "Health", 500)},
        "/readyz": {"get": _operation("readyz", "Does it answer a recorded request rightly?", "Health", 503)},
    }


def _operation(name: str, summary: str, answer: str, *problems: int) -> Document:
    refused = {str(status): {"$ref": "#/components/responses/Problem"} for status in problems}
    return {"operationId": name, "summary": summary, "responses": {"200": _content("Done", answer), **refused}}


def _content(description: str, schema: str, media_type: str = "application/json") -> Document:
    return {"description": description, "content": {media_type: {"schema": _ref(schema)}}}


def _ref(name: str) -> Document:
    return {"$ref": f"#/components/schemas/{name}"}


def _request(release: LoadedRelease | None) -> Document:
    row = {"type": "object"} if release is None else row_schema(release.schema)
    example = {} if release is None else example_row(release.schema)
    rows = {"type": "array", "minItems": 1, "items": _ref("Row")}
    return {"Row": row, "PredictRequest": {**_object(rows=rows), "examples": [{"rows": [example]}]}}


def _answer(release: LoadedRelease | None) -> Document:
    schema = Schema((), "") if release is None else release.schema
    number = {"type": "number", "description": schema.output_unit}
    return {
        "Prediction": _object(**dict.fromkeys(schema.outputs, number)),
        "Predictions": _object(
            predictions={"type": "array", "items": _ref("Prediction")},
            model={"type": "string"},
            version={"type": "integer"},
            digest={"type": "string"},
            unit={"type": "string"},
        ),
    }


def _fixed() -> Document:
    text, code = {"type": "string"}, {"type": "string", "enum": list(PROBLEMS)}
    row_error = _object(row={"type": "integer"}, column=text, code=text, message=text)
    known = _object(type=text, title=text, status={"type": "integer"}, code=code, detail=text)
    known["properties"]["errors"] = {"type": "array", "items": row_error}
    return {
        "Problem": known,
        "Status": _object(**{name: {} for name in Status.__dataclass_fields__}),
        "Health": _object(status=text),
        "JsonSchema": {"type": "object"},
    }


def _object(**properties: Any) -> Document:
    return {"type": "object", "properties": properties, "required": list(properties)}
