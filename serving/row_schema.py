"""A release's schema as JSON Schema, with an example row. Derived; nothing about any column is written here."""

from __future__ import annotations

from typing import Any

from pipeline.contract.schema import MAX_TEXT, Column, Schema, describe_range

NO_NUL = r"^[^\u0000]*$"


def row_schema(schema: Schema) -> dict[str, Any]:
    """JSON Schema (2020-12) of one row of a request."""
    return {
        "type": "object",
        "properties": {column.name: _property(column) for column in schema.inputs},
        "required": [column.name for column in schema.inputs if column.required],
        "additionalProperties": False,
        "examples": [example_row(schema)],
    }


def columns_schema(schema: Schema) -> dict[str, Any]:
    """JSON Schema of a request by columns. That all lists are equally long is what JSON Schema cannot say."""
    values = {column.name: {"type": "array", "minItems": 1, "items": _property(column)} for column in schema.inputs}
    return {
        "type": "object",
        "properties": values,
        "required": [column.name for column in schema.inputs if column.required],
        "minProperties": 1,
        "additionalProperties": False,
    }


def example_row(schema: Schema) -> dict[str, float | str]:
    """The declared examples; a column without one is left out, which means "not known"."""
    return {column.name: column.example for column in schema.inputs if column.example is not None}


def _property(column: Column) -> dict[str, Any]:
    numeric = column.kind == "numeric"
    kind = "number" if numeric else "string"
    allowed = describe_range(column) if numeric else "any text; one the model has not seen is answered too"
    found = {
        "type": kind if column.required else [kind, "null"],
        "description": f"{column.description or column.name}: {allowed}",
        "minimum": column.minimum,
        "maximum": column.maximum,
        "maxLength": None if numeric else MAX_TEXT,
        "pattern": None if numeric else NO_NUL,
        "x-unit": column.unit or None,
        "examples": None if column.example is None else [column.example],
    }
    return {name: value for name, value in found.items() if value is not None}
