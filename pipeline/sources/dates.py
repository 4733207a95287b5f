"""The day of sale of each row, out of text by the dataset's patterns or out of dates. Not here: any other column."""

from __future__ import annotations

import re
from datetime import date

import pandas as pd

from pipeline.datasets.declaration import SaleDate
from pipeline.errors import DataInvalid

NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTHS = {name: number for number, name in enumerate(NAMES, start=1)}


def sale_days(declared: SaleDate, values: pd.Series) -> pd.Series:
    """ISO days, one for each of ``values`` (text, datetime64 or dates). The clock time is left out as it stands.

    Raises:
        DataInvalid: a value is missing, matches no pattern or is no day of the calendar.
    """
    if pd.api.types.is_datetime64_any_dtype(values):
        days = values.dt.strftime("%Y-%m-%d")
    else:
        days = values.map({value: _iso(declared, value) for value in values.unique()})
    if days.isna().any():
        raise _unreadable(declared, values[days.isna()], len(values))
    return days.astype(str)


def _iso(declared: SaleDate, value: object) -> str | None:
    if isinstance(value, date):
        return None if pd.isna(value) else value.isoformat()[:10]
    for pattern in declared.patterns:
        if isinstance(value, str) and (found := re.match(pattern, value.strip())):
            return _calendar_day(found["year"], found["month"], found["day"])
    return None


def _calendar_day(year: str, month: str, day: str) -> str | None:
    try:
        return date(int(year), MONTHS.get(month.lower()) or int(month), int(day)).isoformat()
    except ValueError:
        return None


def _unreadable(declared: SaleDate, bad: pd.Series, rows: int) -> DataInvalid:
    missing = bad.isna() | (bad.astype(str).str.strip() == "")
    example = "nothing" if missing.all() else repr(str(bad[~missing].iloc[0]))
    return DataInvalid(
        f"{declared.name}: {len(bad)} of {rows} rows have no day that can be read, for example {example}"
    )
