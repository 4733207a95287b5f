"""The fast way from the bytes of ``{"rows": [...]}`` to checked columns, for bodies with nothing wrong or unusual.

It takes only what the slow way (``body.py`` and the schema) takes, with the same outcome; whatever it does not take
is for the slow way to answer or to explain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import astuple

from pipeline.contract.schema import MAX_TEXT, Column, Schema
from serving.batch import Batch

OUTER_NAMES = 1  # "rows"


class RowDecoder:
    """A decoder made for one schema. Whoever holds it may use it from any thread."""

    def __init__(self, schema: Schema) -> None:
        self._missing = tuple(math.nan if column.kind == "numeric" else "" for column in schema.inputs)
        self._rows = _decoder(schema)

    def decode(self, body: bytes, max_rows: int) -> Batch | None:
        """The rows of a body that is good in every respect, else None."""
        if b"\\" in body:  # with escapes, quotes cannot be counted
            return None
        try:
            rows = self._rows(body)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
        if not 0 < len(rows) <= max_rows:
            return None
        found = [astuple(row) for row in rows]
        columns, strings = self._columns(found) if len(found) > 1 else self._row(found[0])
        # A name twice in an object is the only thing that is left to find: each string has two quotes.
        return Batch(columns, len(rows)) if body.count(b'"') == 2 * (strings + OUTER_NAMES) else None

    def _row(self, row: tuple[Any, ...]) -> tuple[list[Sequence[Any]], int]:
        """``_columns`` for a single row, four times as fast."""
        strings = 0
        columns: list[Sequence[Any]] = []
        for value, missing in zip(row, self._missing, strict=True):
            if value is UNSET:
                columns.append((missing,))
                continue
            strings += 2 if type(value) is str else 1
            columns.append((missing if value is None else value,))
        return columns, strings

    def _columns(self, rows: Sequence[tuple[Any, ...]]) -> tuple[list[Sequence[Any]], int]:
        """The columns with what is missing filled in, and how many strings, names and values, were in the rows."""
        strings = 0
        columns: list[Sequence[Any]] = []
        for values, missing in zip(zip(*rows, strict=True), self._missing, strict=True):
            kinds = set(map(type, values))
            given = len(values) - (values.count(UNSET) if UnsetType in kinds else 0)
            strings += given
            if missing == "":
                strings += given - (values.count(None) if NoneType in kinds else 0)
            whole = kinds <= {float, str}
            columns.append(values if whole else [missing if v is None or v is UNSET else v for v in values])
        return columns, strings


def _decoder(schema: Schema) -> Callable[[bytes], list[Any]]:
    names = {f"c{i}": column.name for i, column in enumerate(schema.inputs)}
    fields = [
        (name, _type(column)) if column.required else (name, _type(column) | None | UnsetType, UNSET)
        for name, column in zip(names, schema.inputs, strict=True)
    ]
    row = msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, kw_only=True, gc=False)
    request = msgspec.defstruct("Request", [("rows", list[row])], forbid_unknown_fields=True)  # type: ignore[valid-type]
    decode = msgspec.json.Decoder(request).decode
    return lambda body: decode(body).rows  # type: ignore[attr-defined]


def _type(column: Column) -> Any:
    if column.kind == "categorical":
        return Annotated[str, Meta(max_length=MAX_TEXT)]
    return Annotated[float, Meta(ge=column.minimum, le=column.maximum)]
