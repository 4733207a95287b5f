"""From a body of comma-separated values to columns. The first line names them; JSON is ``body.py``'s business."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection
from itertools import islice
from typing import Any

from pipeline.contract.schema import RowError, RowsInvalid
from serving.body import Columns, check_count
from serving.errors import RequestRefused

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)  # no 1_000, nan or inf, which float() takes


def read_csv(body: bytes, numeric: Collection[str], max_rows: int) -> tuple[Columns, int]:
    """The columns of a body and how many rows it has. An empty field is None, for "not known".

    A field of a ``numeric`` column is a float, or the text as it was when that is no number.

    Raises:
        RequestRefused: it is not CSV in UTF-8 with a line of distinct names, or has too many rows.
        RowsInvalid: some lines have fewer or more fields than the first.
    """
    names, *lines = _lines(body, max_rows)
    check_count(len(lines), max_rows)
    wrong = [row for row, line in enumerate(lines) if len(line) != len(names)]
    if wrong:
        raise RowsInvalid([RowError(row, "", "wrong_length", f"must have {len(names)} fields") for row in wrong])
    columns = zip(names, zip(*lines, strict=True), strict=True)
    return {name: [_value(field, name in numeric) for field in fields] for name, fields in columns}, len(lines)


def _lines(body: bytes, max_rows: int) -> list[list[str]]:
    try:
        reader = csv.reader(io.StringIO(body.decode(), newline=""), strict=True)
        lines = list(islice(reader, max_rows + 2))  # a line of names, and one more than there may be
    except UnicodeDecodeError as error:
        raise RequestRefused("not_csv", f"the body is not UTF-8: byte {error.start}") from error
    except csv.Error as error:  # its messages speak of the rules, never of the text
        raise RequestRefused("not_csv", f"the body is not CSV: {error}") from error
    if not lines or not lines[0] or len(set(lines[0])) != len(lines[0]):
        raise RequestRefused("not_csv", "the first line must name the columns, each once")
    return lines


def _value(field: str, numeric: bool) -> Any:
    if not field:
        return None
    return float(field) if numeric and NUMBER.fullmatch(field) else field
