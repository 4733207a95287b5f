"""Deliveries with one file a day, told apart by the day in the file's name. Not here: where the files lie."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

import pandas as pd

from pipeline.datasets.declaration import Dataset
from pipeline.errors import DataInvalid
from pipeline.sources.dates import sale_days

SUFFIXES = (".csv", ".parquet")
DAY = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")


def by_day(names: Iterable[str]) -> dict[date, str]:
    """The data file of each day. Names without a day or with another ending are no data files.

    Raises:
        DataInvalid: two files are for the same day.
    """
    found: dict[date, str] = {}
    for name in sorted(names):
        day = _day_in(name)
        if day is not None and day in found:
            raise DataInvalid(f"{found[day]} and {name} are both for {day}; leave one")
        if day is not None:
            found[day] = name
    return found


def _day_in(name: str) -> date | None:
    last = name.rpartition("/")[2]
    days = DAY.findall(last)
    if not days or last.startswith(".") or not last.endswith(SUFFIXES):
        return None
    try:
        return date.fromisoformat(days[-1])
    except ValueError:
        return None


def only_day(dataset: Dataset, rows: pd.DataFrame, day: date, name: str) -> pd.DataFrame:
    """The rows of ``day``. A file may have some of its neighbours, but not only those.

    Raises:
        DataInvalid: the date column is missing or cannot be read, or every row is of another day.
    """
    if rows.empty:
        return rows
    days = days_of(dataset, rows, name)
    kept = rows[days == day.isoformat()]
    if kept.empty:
        raise DataInvalid(f"{name} should have the sales of {day}, but its rows are of {days.iloc[0]} and the like")
    return kept.reset_index(drop=True)


def days_of(dataset: Dataset, rows: pd.DataFrame, name: str) -> pd.Series:
    """The ISO day of each row. Raises ``DataInvalid`` as ``only_day`` does."""
    column = dataset.date.name
    if column not in rows.columns:
        raise DataInvalid(
            f"{name}: the column {column!r} is missing; there are {', '.join(map(str, rows.columns[:30]))}"
        )
    return sale_days(dataset.date, rows[column])
