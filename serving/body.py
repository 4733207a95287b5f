"""From the body of a request to rows: size, strict JSON, shape. What a row may hold is the schema's business."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from pipeline.contract.schema import RowError, RowsInvalid
from serving.errors import RequestRefused

Row = dict[str, Any]
Columns = dict[str, list[Any]]

SHAPE = 'the body must be {"rows": [{"column": value, ...}, ...]} or {"columns": {"column": [value, ...], ...}}'
MEMBERS = {"rows", "columns", "partial"}

# While a body is parsed nothing else runs in the process, and the garbage collector looks at each list in it again
# and again. So it may have no more values than its rows can have, and some for what somebody has misunderstood.
VALUES_BESIDE = 65_536
TEXTS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


async def read_body(receive: Receive, declared: bytes | None, limit: int) -> bytes:
    """The whole body, counted while it arrives; ``declared`` is the Content-Length, which need not be true.

    Raises:
        RequestRefused: it has more than ``limit`` bytes.
        ClientDisconnect: the client went away before the end.
    """
    too_large = RequestRefused("body_too_large", f"the body has more than {limit} bytes; send several requests")
    if declared is not None and (not declared.isdigit() or int(declared[:20]) > limit):
        raise too_large
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > limit:
            raise too_large
        if not message.get("more_body", False):
            return bytes(body)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a body asks for: ``rows``, or ``columns`` of ``count`` values each; ``partial``: answer the good rows."""

    count: int
    rows: Sequence[Row] = ()
    columns: Columns | None = None
    partial: bool = False


def read_wanted(body: bytes, max_rows: int, width: int = 0) -> Wanted:
    """The rows or columns of a body, none of their values looked at. ``width`` is how many columns there are.

    Raises:
        RequestRefused: the body is not strict JSON of the right shape.
        RowsInvalid: some rows are not objects.
    """
    document = strict_json(body, max_rows * width)
    known = isinstance(document, dict) and document.keys() <= MEMBERS
    if not known or ("rows" in document) == ("columns" in document):
        raise RequestRefused("wrong_shape", f"{SHAPE}, and nothing else")
    partial = document.get("partial", False)
    if not isinstance(partial, bool):
        raise RequestRefused("wrong_shape", "partial must be true or false")
    if "rows" in document:
        rows = _rows(document["rows"])
        return Wanted(check_count(len(rows), max_rows), rows=all_objects(rows), partial=partial)
    columns, count = equal_columns(document["columns"])
    return Wanted(check_count(count, max_rows), columns=columns, partial=partial)


def _rows(rows: Any) -> list[Any]:
    if isinstance(rows, dict):  # one row by itself
        return [rows]
    if not isinstance(rows, list):
        raise RequestRefused("wrong_shape", SHAPE)
    return rows


def equal_columns(columns: Any) -> tuple[Columns, int]:
    """An object of lists of equal length, and that length; raises ``RequestRefused`` when it is something else."""
    if not isinstance(columns, dict) or not all(isinstance(values, list) for values in columns.values()):
        raise RequestRefused("wrong_shape", "columns must be an object that has a list for each column")
    counts = {len(values) for values in columns.values()}
    if len(counts) > 1:
        raise RequestRefused("wrong_shape", "all columns must have equally many values")
    return columns, counts.pop() if counts else 0


def check_count(count: int, max_rows: int) -> int:
    """``count`` itself; raises ``RequestRefused`` when there are no rows or more than ``max_rows``."""
    if not count:
        raise RequestRefused("no_rows", "there must be at least one row")
    if count > max_rows:
        raise RequestRefused("too_many_rows", f"there are {count} rows; at most {max_rows} fit in one request")
    return count


def all_objects(rows: list[Any]) -> list[Row]:
    """``rows`` itself; raises ``RowsInvalid`` for those that are no objects."""
    wrong = [
        RowError(i, "", "not_an_object", "must be an object") for i, row in enumerate(rows) if type(row) is not dict
    ]
    if wrong:
        raise RowsInvalid(wrong)
    return rows


def strict_json(body: bytes, values: int = 0, *, nan_is_null: bool = False) -> Any:
    """JSON as RFC 8259 has it: UTF-8 without byte order mark, no NaN or Infinity, no name twice in an object.

    ``values`` is how many values all rows together may have; many more are refused before they cost anything.
    With ``nan_is_null`` a bare NaN, which pandas writes for a value that is not known, is read as null.

    Raises:
        RequestRefused: it is not; the message says where, and repeats nothing of it.
    """
    check_weight(body, values)
    constant = _nan_as_null if nan_is_null else _no_constant
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=constant)
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        raise RequestRefused("not_json", message) from error
    except UnicodeDecodeError as error:
        raise RequestRefused("not_json", f"the body is not UTF-8: byte {error.start}") from error
    except RecursionError as error:
        raise RequestRefused("not_json", "the body is nested too deeply") from error
    except ValueError as error:  # Python reads no integer of more than 4,300 digits
        raise RequestRefused("not_json", "the body has a number with too many digits") from error


def check_weight(body: bytes, values: int) -> None:
    """Raises ``RequestRefused`` when a body of JSON has many more values than the ``values`` that its rows may have."""
    most = 2 * values + VALUES_BESIDE
    if _weight(body) > most and _weight(TEXTS.sub(b"", body)) > most:
        raise RequestRefused("too_many_rows", "the body has more values than rows may have; send several requests")


def _weight(body: bytes) -> int:
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _object(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise RequestRefused("not_json", "an object in the body has the same name twice")
    return row


def _no_constant(_: str) -> None:
    raise RequestRefused("not_json", "NaN and Infinity are not JSON; write null for a value that is not known")


def _nan_as_null(name: str) -> None:
    if name != "NaN":
        _no_constant(name)
