"""Rows out of a bucket: one object a day with the day in its name, or one object with all days."""

from __future__ import annotations

from datetime import date

import pandas as pd

from pipeline.datasets.declaration import Dataset
from pipeline.errors import SourceUnavailable, StoreUnavailable
from pipeline.sources.day_files import by_day, days_of, only_day
from pipeline.sources.tables import rows_of
from pipeline.store import KeyNotFound, Store, open_store


class S3Source:
    """``s3://bucket/prefix`` or ``s3://bucket/path/file.csv``; endpoint and credentials as for a store.

    A single file is fetched whole, once in the life of this object: one object a day stays fast as history grows.
    """

    def __init__(self, uri: str, dataset: Dataset) -> None:
        self.description = uri
        self._dataset = dataset
        folder, _, last = uri.rpartition("/")
        single = last.endswith((".csv", ".parquet"))
        self._file = last if single else ""
        self._store = _opened(folder if single else uri)
        self._parsed: tuple[pd.DataFrame, pd.Series] | None = None

    def read(self, day: date) -> pd.DataFrame:
        if self._file:
            rows, days = self._all()
            return rows[days == day.isoformat()].reset_index(drop=True)
        name = self._names().get(day)
        return pd.DataFrame() if name is None else only_day(self._dataset, self._rows(name), day, name)

    def newest_day(self) -> date | None:
        if self._file:
            days = self._all()[1]
            return None if days.empty else date.fromisoformat(days.max())
        return max(self._names(), default=None)

    def _all(self) -> tuple[pd.DataFrame, pd.Series]:
        if self._parsed is None:
            rows = self._rows(self._file)
            self._parsed = rows, days_of(self._dataset, rows, self._file)
        return self._parsed

    def _names(self) -> dict[date, str]:
        try:
            return by_day(self._store.keys(""))
        except StoreUnavailable as error:
            raise SourceUnavailable(str(error)) from error

    def _rows(self, name: str) -> pd.DataFrame:
        try:
            return rows_of(self._store.read(name).data, name)
        except KeyNotFound as error:
            raise SourceUnavailable(f"there is no {self._store.uri}/{name}: misspelt, or not delivered yet?") from error
        except StoreUnavailable as error:
            raise SourceUnavailable(str(error)) from error


def _opened(uri: str) -> Store:
    try:
        return open_store(uri, read_only=True)
    except StoreUnavailable as error:
        raise SourceUnavailable(str(error)) from error
