"""Delivered bytes (CSV or Parquet) to a frame of raw rows: text stays text, nothing is cleaned.

Not here: where the bytes come from, which columns there should be (``pipeline/raw_check.py``).
"""

from __future__ import annotations

import csv
import io
from collections import Counter

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from pipeline.errors import DataInvalid

PARQUET = b"PAR1"
BOM = b"\xef\xbb\xbf"
MOST_COLUMNS = 2_000


def rows_of(data: bytes, name: str, *, whole: bool = False) -> pd.DataFrame:
    """The rows of a file. ``name`` is for messages; ``whole`` says that its length is proven right.

    Without that, a CSV must end with a line end, because one that was cut within its last line looks just so.

    Raises:
        DataInvalid: half delivered, not CSV or Parquet, or a line has too many or too few fields.
    """
    return _parquet(data, name) if data.startswith(PARQUET) or name.endswith(".parquet") else _csv(data, name, whole)


def _parquet(data: bytes, name: str) -> pd.DataFrame:
    try:
        return pq.read_table(io.BytesIO(data)).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise half_delivered(name, "it is no whole Parquet file") from error


def _csv(data: bytes, name: str, whole: bool) -> pd.DataFrame:
    header = _header(data, name)
    if not whole and data[-1:] not in (b"\n", b"\r"):
        raise half_delivered(name, "its last line does not end")
    odd: list[pa.csv.InvalidRow] = []

    def note(row: pa.csv.InvalidRow) -> str:
        odd.append(row)
        return "skip"

    try:
        table = pa.csv.read_csv(
            io.BytesIO(data),
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
            convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
        )
    except pa.ArrowInvalid as error:
        raise DataInvalid(f"{name} cannot be read as CSV in UTF-8: {error}") from error
    if odd:
        raise _wrong_fields(name, odd[0], last=odd[0].number == table.num_rows + len(odd) + 1)
    if _is_open_quote(data, table):
        raise half_delivered(name, "a quotation mark is opened and never closed")
    return table.to_pandas()


def _is_open_quote(data: bytes, table: pa.Table) -> bool:
    """Such a mark swallows all lines after it; the reader says nothing."""
    if table.num_rows == 0 or data.count(b'"') % 2 == 0:
        return False
    return any("\n" in value.as_py() for column in table.columns for value in column[-1:])


def _header(data: bytes, name: str) -> list[str]:
    line = data.removeprefix(BOM).lstrip()[:100_000].splitlines()[:1]
    if not line:
        raise half_delivered(name, "it is empty")
    if line[0].startswith(b"<"):
        raise DataInvalid(f"{name} is a web page (HTML), not CSV or Parquet")
    if line[0].count(b",") > MOST_COLUMNS:
        raise DataInvalid(f"{name} has more than {MOST_COLUMNS} columns")
    try:
        header = next(csv.reader([line[0].decode()]))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataInvalid(f"{name}: the line of column names cannot be read: {error}") from error
    if twice := [column for column, times in Counter(header).items() if times > 1]:
        raise DataInvalid(f"{name}: the column {twice[0]!r} is there twice")
    return header


def _wrong_fields(name: str, row: pa.csv.InvalidRow, last: bool) -> DataInvalid:
    found = f"line {row.number} has {row.actual_columns} fields instead of {row.expected_columns}"
    if last and row.actual_columns < row.expected_columns:
        return half_delivered(name, found)
    return DataInvalid(f"{name}: {found}")


def half_delivered(name: str, why: str) -> DataInvalid:
    return DataInvalid(f"{name} is only half delivered: {why}")
