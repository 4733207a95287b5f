"""MLflow's scoring protocol, SageMaker's too: ``POST /invocations`` with JSON or CSV, ``GET /ping``, ``/version``.

A bare NaN in JSON is null here, because MLflow's own client writes it so. Parameters are refused: no model takes any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pipeline.contract.schema import RowError, RowsInvalid, Schema
from serving.batch import Batch
from serving.body import Columns, Row, all_objects, check_count, equal_columns, strict_json
from serving.csv_body import read_csv
from serving.doors.door import Door, Headers, check_json_type, check_plain, through
from serving.errors import RequestRefused
from serving.openapi import API_VERSION
from serving.openapi_parts import REFUSALS, Described, Document, content, object_of, operation, posted, ref
from serving.release import AnswerTable, LoadedRelease, check_finite
from serving.responses import PROBLEMS
from serving.routes import readyz
from serving.row_schema import example_row

encode = msgspec.json.Encoder().encode
TEXT = {"type": "string"}
FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
SHAPE = f"the body must be a JSON object with exactly one of {', '.join(FORMATS)}"
SPLIT = 'dataframe_split must be {"columns": ["name", ...], "data": [[value, ...], ...]}, perhaps with "index"'
# MLflow's names of errors (databricks_pb2.ErrorCode) by HTTP status; all others are BAD_REQUEST
ERROR_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}


@dataclass(frozen=True, slots=True)
class Invocation:
    """One request. It is answered as MLflow's server answers for a model that gives a DataFrame."""

    release: LoadedRelease
    batch: Batch

    def reply(self, answers: AnswerTable, variant: str | None = None) -> Response:
        del variant  # MLflow's clients look for nothing beside the predictions; the headers tell it
        check_finite(answers)
        names = self.release.schema.outputs
        predictions = [dict(zip(names, row, strict=True)) for row in answers.tolist()]
        return Response(encode({"predictions": predictions}), media_type="application/json")


def read(release: LoadedRelease, headers: Headers, body: bytes, max_rows: int) -> Invocation:
    """Raises ``RequestRefused`` for a body that cannot be read, ``RowsInvalid`` for rows that cannot be used."""
    asked = _asked(release.schema, headers, body, max_rows)
    if isinstance(asked, list):
        count = check_count(len(asked), max_rows)
        arrays, errors = release.schema.read_rows(all_objects(asked))
    else:
        columns, count = asked
        arrays, errors = release.schema.read_columns(columns, check_count(count, max_rows))
    if errors:
        raise RowsInvalid(errors)
    return Invocation(release, Batch.of(arrays, count))


def _asked(schema: Schema, headers: Headers, body: bytes, max_rows: int) -> list[Row] | tuple[Columns, int]:
    """Rows, or columns and their length."""
    if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == b"text/csv":
        check_plain(headers)
        return read_csv(body, {column.name for column in schema.inputs if column.kind == "numeric"}, max_rows)
    check_json_type(headers)
    document = strict_json(body, max_rows * len(schema.inputs), nan_is_null=True)
    found = [name for name in FORMATS if name in document] if isinstance(document, dict) else []
    if len(found) != 1 or not document.keys() <= {*found, "params"}:
        raise RequestRefused("wrong_shape", f"{SHAPE}, and nothing else")
    if document.get("params") not in (None, {}):
        raise RequestRefused("wrong_shape", "params must be left out: this model takes none")
    return _table(found[0], document[found[0]], max_rows)


def _table(form: str, value: Any, max_rows: int) -> list[Row] | tuple[Columns, int]:
    if form == "dataframe_split":
        return _split(value, max_rows)
    if isinstance(value, list):
        return value
    if form == "dataframe_records":
        raise RequestRefused("wrong_shape", f"{form} must be a list of objects")
    return equal_columns(value)


def _split(value: Any, max_rows: int) -> tuple[Columns, int]:
    known = isinstance(value, dict) and {"columns", "data"} <= value.keys() <= {"columns", "data", "index"}
    if not known or not all(isinstance(part, list) for part in value.values()):
        raise RequestRefused("wrong_shape", SPLIT)
    names, lines = value["columns"], value["data"]
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise RequestRefused("wrong_shape", "the columns of dataframe_split must be distinct texts")
    if len(value.get("index", lines)) != check_count(len(lines), max_rows):
        raise RequestRefused("wrong_shape", "the index of dataframe_split must be as long as its data")
    _check_lengths(lines, len(names))
    return dict(zip(names, map(list, zip(*lines, strict=True)), strict=True)), len(lines)


def _check_lengths(lines: Sequence[Any], length: int) -> None:
    wrong = [row for row, line in enumerate(lines) if not isinstance(line, list) or len(line) != length]
    if wrong:
        raise RowsInvalid([RowError(row, "", "wrong_length", f"must be a list of {length} values") for row in wrong])


def _problem_members(code: str, detail: str) -> Document:
    """What MLflow's clients look for in an error."""
    return {"error_code": ERROR_CODES.get(PROBLEMS[code][0], "BAD_REQUEST"), "message": detail}


async def version(_: Request) -> Response:
    """MLflow's server answers its own version as text, for people to read; this is ours."""
    return PlainTextResponse(f"gavel/{API_VERSION}")


ROUTES = [
    Route("/invocations", through(Door("invocations", read, _problem_members)), methods=["POST"]),
    Route("/ping", readyz),
    Route("/version", version),
]


def describe(model: str, release: LoadedRelease | None) -> Described:
    """The door in the OpenAPI document."""
    del model
    schema = Schema((), "") if release is None else release.schema
    done = content("Done", "Invoked")
    body = content("A table", "Invocation")
    body["content"]["text/csv"] = {
        "schema": {**TEXT, "minLength": 1, "description": "the first line names the columns"}
    }
    health = operation("ping", "As /readyz", content("Done", "Health"), 429, 500, 503)
    software = {"description": "Name and version of this interface", "content": {"text/plain": {"schema": TEXT}}}
    return Described(
        {
            "/invocations": posted(body, operation("invocations", "Prices as MLflow answers them", done, *REFUSALS)),
            "/ping": {"get": {**health, "security": []}},
            "/version": {"get": operation("version", "What answers here", software, 401, 403, 429, 500, 503)},
        },
        {
            "Invoked": object_of(predictions={"type": "array", "items": ref("Prediction")}),
            "Invocation": _request(schema),
        },
    )


def _request(schema: Schema) -> Document:
    rows = {"type": "array", "minItems": 1, "items": ref("Row")}
    name = {"enum": [column.name for column in schema.inputs]} if schema.inputs else TEXT
    lines = {"type": "array", "minItems": 1, "items": {"type": "array"}}
    split = object_of(columns={"type": "array", "uniqueItems": True, "items": name}, data=lines)
    split["properties"]["index"] = {"type": "array"}
    either = {"anyOf": [rows, ref("Columns")]}
    forms = {"dataframe_split": {**split, "additionalProperties": False}, "dataframe_records": rows}
    nothing: Document = {"description": "no model takes any", "enum": [None, {}]}
    return {
        "type": "object",
        "properties": {**forms, "instances": either, "inputs": either, "params": nothing},
        "oneOf": [{"required": [form]} for form in FORMATS],
        "additionalProperties": False,
        "examples": [{"dataframe_records": [example_row(schema)]}],
    }
