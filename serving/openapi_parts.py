"""The pieces of which ``openapi.py`` and the doors put the OpenAPI document together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]

REFUSALS = (400, 401, 403, 413, 415, 422, 429, 500, 503)  # what any door may answer instead of a prediction


@dataclass(frozen=True, slots=True)
class Described:
    """What one file adds to the document: paths by address, schemas by name."""

    paths: Document
    schemas: Document


def operation(name: str, summary: str, answer: Document, *problems: int) -> Document:
    """An operation that answers ``answer`` (of ``content``), or a problem with one of the statuses."""
    refused = {str(status): {"$ref": "#/components/responses/Problem"} for status in problems}
    return {"operationId": name, "summary": summary, "responses": {"200": answer, **refused}}


def posted(body: Document, posted_operation: Document) -> Document:
    """A POST operation with a required body (the ``content`` of it)."""
    return {"post": {**posted_operation, "requestBody": {"required": True, "content": body["content"]}}}


def content(description: str, schema: str, media_type: str = "application/json") -> Document:
    return {"description": description, "content": {media_type: {"schema": ref(schema)}}}


def ref(name: str) -> Document:
    return {"$ref": f"#/components/schemas/{name}"}


def object_of(**properties: Any) -> Document:
    """An object with these properties, all of them there."""
    return {"type": "object", "properties": properties, "required": list(properties)}
