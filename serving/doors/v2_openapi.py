"""The protocol V2 over HTTP in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pipeline.contract.schema import Schema
from serving.doors.v2_model import datatype
from serving.doors.v2_tensors import NUMBERS
from serving.openapi_parts import REFUSALS, Described, Document, content, object_of, operation, posted, ref
from serving.release import LoadedRelease

TEXT = {"type": "string"}
ANY = {"type": "object"}
ANY_OR_NULL = {"type": ["object", "null"]}
GUARDED = (401, 403, 429, 500)
RULES = (
    "Each input is a column: shape [n] or [n, 1], null for what is not known; columns may be left out. After the JSON"
    " may come bytes (binary tensor extension: the header Inference-Header-Content-Length, binary_data_size)."
)


def describe(model: str, release: LoadedRelease | None) -> Described:
    """The door in the OpenAPI document; ``{model}`` can only be ``model``."""
    schema = Schema((), "") if release is None else release.schema
    parameters = [{"name": "model", "in": "path", "required": True, "schema": {"type": "string", "enum": [model]}}]
    version = {"name": "version", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9]+$"}}
    paths = _server_paths() | _model_paths("/v2/models/{model}", "", parameters)
    paths |= _model_paths("/v2/models/{model}/versions/{version}", "Version", [*parameters, version])
    return Described(paths, _schemas(schema))


def _server_paths() -> Document:
    live = operation("v2Live", "As /livez", content("Done", "V2Live"), 429, 500)
    ready = operation("v2Ready", "As /readyz", content("Done", "V2Ready"), 429, 500, 503)
    return {
        "/v2": {"get": operation("v2Server", "What answers here", content("Done", "V2Server"), *GUARDED)},
        "/v2/health/live": {"get": {**live, "security": []}},
        "/v2/health/ready": {"get": {**ready, "security": []}},
    }


def _model_paths(address: str, suffix: str, parameters: list[Any]) -> Document:
    model = operation(f"v2Model{suffix}", "Its tensors", content("Done", "V2Model"), *GUARDED, 404, 503)
    ready = operation(f"v2ModelReady{suffix}", "As /readyz", content("Done", "V2Ready"), 404, 429, 500, 503)
    infer = operation(f"v2Infer{suffix}", "Prices for columns", content("Done", "V2Answer"), *REFUSALS, 404)
    infer["description"] = RULES
    infer["responses"]["200"]["content"]["application/octet-stream"] = {}  # with the binary tensor extension
    return {
        address: {"get": {**model, "parameters": parameters}},
        f"{address}/ready": {"get": {**ready, "parameters": parameters, "security": []}},
        f"{address}/infer": posted(content("Tensors", "V2Request"), {**infer, "parameters": parameters}),
    }


def _schemas(schema: Schema) -> Document:
    parameters = {"type": ["object", "null"], "properties": {"binary_data_output": {"type": ["boolean", "null"]}}}
    output = {"type": "object", "required": ["name"], "properties": {"name": {"enum": list(schema.outputs)}}}
    answer = object_of(model_name=TEXT, model_version=TEXT, parameters=ANY, outputs=_list(ref("V2Tensor")))
    answer["properties"]["id"] = TEXT
    return {
        "V2Live": object_of(live={"type": "boolean"}),
        "V2Ready": object_of(ready={"type": "boolean"}),
        "V2Server": object_of(name=TEXT, version=TEXT, extensions=_list(TEXT)),
        "V2Model": object_of(name=TEXT, versions=_list(TEXT), platform=TEXT, inputs=_list(ANY), outputs=_list(ANY)),
        "V2Tensor": object_of(name=TEXT, datatype={"const": "FP64"}, shape=_list({"type": "integer"})),
        "V2Answer": answer,
        "V2Request": {
            "type": "object",
            "required": ["inputs"],
            "properties": {
                "id": {"type": ["string", "null"]},
                "parameters": parameters,
                "inputs": {**_list(_input(schema)), "minItems": 1},
                "outputs": {**_list(output), "type": ["array", "null"]},
            },
            "examples": [{"id": "1", "inputs": _example(schema)}],
        },
    }


def _list(items: Document) -> Document:
    return {"type": "array", "items": items}


def _input(schema: Schema) -> Document:
    name = {"enum": [column.name for column in schema.inputs]} if schema.inputs else TEXT
    tensor = object_of(name=name, datatype={"enum": [*NUMBERS, "BYTES"]}, shape=_list({"type": "integer"}))
    return {
        **tensor,
        "properties": {**tensor["properties"], "data": {"type": ["array", "null"]}, "parameters": ANY_OR_NULL},
    }


def _example(schema: Schema) -> list[Document]:
    """One row: the examples that the columns declare."""
    given = [column for column in schema.inputs if column.example is not None]
    return [{"name": c.name, "datatype": datatype(c), "shape": [1, 1], "data": [c.example]} for c in given]
