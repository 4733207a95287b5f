"""From the body of a request to rows: size, strict JSON, shape. What a row may hold is the schema's business."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from pipeline.contract.schema import RowError, RowsInvalid
from serving.errors import RequestRefused

Row = dict[str, Any]


async def read_body(chunks: AsyncIterator[bytes], declared: str | None, limit: int) -> bytes:
    """The whole body, counted while it arrives; ``declared`` is the Content-Length, which need not be true.

    Raises:
        RequestRefused: it has more than ``limit`` bytes.
    """
    too_large = RequestRefused("body_too_large", f"the body has more than {limit} bytes; send several requests")
    if declared is not None and (not declared.isdecimal() or int(declared[:20]) > limit):
        raise too_large
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise too_large
    return bytes(body)


def read_rows(body: bytes, max_rows: int) -> list[Row]:
    """The rows of ``{"rows": [{...}, ...]}``.

    Raises:
        RequestRefused: the body is not strict JSON of this shape.
        RowsInvalid: some rows are not objects.
    """
    document = strict_json(body)
    if not isinstance(document, dict) or document.keys() != {"rows"} or not isinstance(document["rows"], list):
        raise RequestRefused("wrong_shape", 'the body must be {"rows": [{"column": value, ...}, ...]}, nothing else')
    rows = document["rows"]
    if not rows:
        raise RequestRefused("no_rows", "rows must hold at least one row")
    if len(rows) > max_rows:
        raise RequestRefused("too_many_rows", f"there are {len(rows)} rows; at most {max_rows} fit in one request")
    wrong = [
        RowError(i, "", "not_an_object", "must be an object") for i, row in enumerate(rows) if type(row) is not dict
    ]
    if wrong:
        raise RowsInvalid(wrong)
    return rows


def strict_json(body: bytes) -> Any:
    """JSON as RFC 8259 has it: UTF-8 without byte order mark, no NaN or Infinity, no name twice in an object.

    Raises:
        RequestRefused: it is not; the message says where, and repeats nothing of it.
    """
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        raise RequestRefused("not_json", message) from error
    except UnicodeDecodeError as error:
        raise RequestRefused("not_json", f"the body is not UTF-8: byte {error.start}") from error
    except RecursionError as error:
        raise RequestRefused("not_json", "the body is nested too deeply") from error
    except ValueError as error:  # Python reads no integer of more than 4,300 digits
        raise RequestRefused("not_json", "the body has a number with too many digits") from error


def _object(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise RequestRefused("not_json", "an object in the body has the same name twice")
    return row


def _no_constant(_: str) -> None:
    raise RequestRefused("not_json", "NaN and Infinity are not JSON; write null for a value that is not known")
