"""The friendly door: ``POST /v1/predict`` with rows by name, or columns; one row may be an object by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from pipeline.contract.schema import RowError, RowsInvalid, Schema
from serving.batch import Batch
from serving.body import read_wanted
from serving.doors.door import Door, Headers, check_json_type, through
from serving.openapi_parts import REFUSALS, Described, Document, content, object_of, operation, posted, ref
from serving.release import AnswerTable, LoadedRelease, check_finite
from serving.responses import MAX_ERRORS
from serving.row_schema import example_row

encode = msgspec.json.Encoder().encode
TEXT = {"type": "string"}


@dataclass(frozen=True, slots=True)
class Prediction:
    """One request: ``batch`` has the good ones of its rows, ``places`` says which they were, when not all are good."""

    release: LoadedRelease
    batch: Batch
    rows: int
    partial: bool = False
    places: Sequence[int] | None = None
    errors: Sequence[RowError] = ()

    def reply(self, answers: AnswerTable, variant: str | None = None) -> Response:
        errors = [*self.errors, *self._without_price(answers)]
        release = self.release
        names = release.schema.outputs
        predictions: list[Any] = [dict(zip(names, row, strict=True)) for row in answers.tolist()]
        if errors:
            predictions = self._spread(predictions, errors)
        document: dict[str, Any] = {
            "predictions": predictions,
            "model": release.model,
            "version": release.version,
            "digest": release.digest,
            "unit": release.schema.output_unit,
        }
        if variant is not None:
            document["variant"] = variant
        notes = release.observer.notes(self.batch)
        if notes:
            document["notes"] = [replace(note, row=self._place(note.row)) for note in notes]
        if errors:
            document["errors"] = errors[:MAX_ERRORS]
        return Response(encode(document), media_type="application/json")

    def _without_price(self, answers: AnswerTable) -> list[RowError]:
        try:
            check_finite(answers)
        except RowsInvalid as refused:
            errors = [replace(error, row=self._place(error.row)) for error in refused.errors]
            if not self.partial:
                raise RowsInvalid(errors) from refused
            return errors
        return []

    def _place(self, row: int) -> int:
        return row if self.places is None else self.places[row]

    def _spread(self, predictions: Sequence[Any], errors: Sequence[RowError]) -> list[Any]:
        """The predictions at the places of their rows, null for rows with errors."""
        spread: list[Any] = [None] * self.rows
        bad = {error.row for error in errors}
        for row, prediction in enumerate(predictions):
            if self._place(row) not in bad:
                spread[self._place(row)] = prediction
        return spread


def read(release: LoadedRelease, headers: Headers, body: bytes, max_rows: int) -> Prediction:
    """Raises ``RequestRefused`` for a body that cannot be read, ``RowsInvalid`` for rows that cannot be used."""
    check_json_type(headers)
    batch = release.decoder.decode(body, max_rows)
    if batch is not None:
        return Prediction(release, batch, batch.count)
    asked = read_wanted(body, max_rows, len(release.schema.inputs))
    if asked.columns is not None:
        arrays, errors = release.schema.read_columns(asked.columns, asked.count)
    else:
        arrays, errors = release.schema.read_rows(asked.rows)
    bad = {error.row for error in errors}
    if errors and (not asked.partial or len(bad) == asked.count):
        raise RowsInvalid(errors)
    if not errors:
        return Prediction(release, Batch.of(arrays, asked.count), asked.count, asked.partial)
    good = [row for row in range(asked.count) if row not in bad]
    kept = {name: values[good] for name, values in arrays.items()}
    return Prediction(release, Batch.of(kept, len(good)), asked.count, asked.partial, good, errors)


ROUTES = [Route("/v1/predict", through(Door("predict", read)), methods=["POST"])]


def describe(model: str, release: LoadedRelease | None) -> Described:
    """The door in the OpenAPI document."""
    del model
    schema = Schema((), "") if release is None else release.schema
    number = {"type": "number", "description": schema.output_unit}
    note = object_of(row={"type": "integer"}, column=TEXT, code=TEXT, message=TEXT)
    answer = object_of(
        predictions={"type": "array", "items": {"anyOf": [ref("Prediction"), {"type": "null"}]}},
        model=TEXT,
        version={"type": "integer"},
        digest=TEXT,
        unit=TEXT,
    )
    answer["properties"] |= {
        "notes": {"type": "array", "items": ref("Note"), "description": "what is odd about values that were answered"},
        "errors": {"type": "array", "items": ref("RowError"), "description": "with partial: the rows without answer"},
        "variant": {"enum": ["champion", "challenger"], "description": "who has answered, while there is a challenger"},
    }
    body, done = content("Rows", "PredictRequest"), content("Done", "Predictions")
    return Described(
        {"/v1/predict": posted(body, operation("predict", "Prices for rows", done, *REFUSALS))},
        {
            "Prediction": object_of(**dict.fromkeys(schema.outputs, number)),
            "Note": note,
            "Predictions": answer,
            "PredictRequest": _request(schema),
        },
    )


def _request(schema: Schema) -> Document:
    strict, loose = _members(ref("Row"), ref("Columns")), _members({}, {"type": "object"})
    strict["properties"]["partial"] = {"type": "boolean", "default": False}
    loose["properties"]["partial"] = {"const": True, "description": "answer the good rows, null for the others"}
    loose["required"] = ["partial"]
    return {"anyOf": [strict, loose], "examples": [{"rows": [example_row(schema)]}]}


def _members(row: Document, columns: Document) -> Document:
    rows = {"anyOf": [{"type": "array", "minItems": 1, "items": row}, {"type": "object", **row}]}
    return {
        "type": "object",
        "properties": {
            "rows": {**rows, "description": "one object a row, or one row by itself"},
            "columns": {**columns, "description": "instead of rows: a list a column"},
        },
        "oneOf": [{"required": ["rows"]}, {"required": ["columns"]}],
        "additionalProperties": False,
    }
