"""Rows out of local files: one file with all days, or a folder with one file a day."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.datasets.declaration import Dataset, SaleDate
from pipeline.errors import DataInvalid, SourceUnavailable
from pipeline.sources.dates import sale_days
from pipeline.sources.day_files import by_day, days_of, only_day
from pipeline.sources.tables import half_delivered, rows_of


def folder_source(path: Path, dataset: Dataset) -> DayFilesSource | CsvSource | ParquetSource:
    """The source at ``path``. Raises ``SourceUnavailable`` when nothing is there: it may be mounted later."""
    with _said_plainly(path):
        path.stat()
    if path.is_dir():
        return DayFilesSource(path, dataset)
    return ParquetSource(path, dataset) if path.suffix == ".parquet" else CsvSource(path, dataset)


class DayFilesSource:
    """A folder with one CSV or Parquet file a day, each with YYYY-MM-DD in its name."""

    def __init__(self, path: Path, dataset: Dataset) -> None:
        self.description = f"one file a day in {path}"
        self._path = path
        self._dataset = dataset

    def read(self, day: date) -> pd.DataFrame:
        name = self._names().get(day)
        if name is None:
            return pd.DataFrame()
        with _said_plainly(self._path / name):
            data = (self._path / name).read_bytes()
        return only_day(self._dataset, rows_of(data, name), day, name)

    def newest_day(self) -> date | None:
        return max(self._names(), default=None)

    def _names(self) -> dict[date, str]:
        with _said_plainly(self._path):
            return by_day(path.name for path in self._path.iterdir())


class CsvSource:
    """One CSV file with the dataset's date column. It is parsed once as long as it does not change."""

    def __init__(self, path: Path, dataset: Dataset) -> None:
        self.description = str(path)
        self._path = path
        self._dataset = dataset

    def read(self, day: date) -> pd.DataFrame:
        rows, days = self._parsed()
        return rows[days == day.isoformat()].reset_index(drop=True)

    def newest_day(self) -> date | None:
        days = self._parsed()[1]
        return None if days.empty else date.fromisoformat(days.max())

    def _parsed(self) -> tuple[pd.DataFrame, pd.Series]:
        with _said_plainly(self._path):
            state = self._path.stat()
            return _parse(self._path, state.st_mtime_ns, state.st_size, self._dataset)


@lru_cache(maxsize=1)
def _parse(path: Path, _modified: int, size: int, dataset: Dataset) -> tuple[pd.DataFrame, pd.Series]:
    """Modification time and size are there to be compared: another file is parsed again."""
    data = path.read_bytes()
    if len(data) != size:
        raise SourceUnavailable(f"{path} is being written just now")
    rows = rows_of(data, path.name)
    return rows, days_of(dataset, rows, path.name)


class ParquetSource:
    """One Parquet file with the dataset's date column, of which only what holds a day's rows is read."""

    def __init__(self, path: Path, dataset: Dataset) -> None:
        self.description = str(path)
        self._path = path
        self._date = dataset.date

    def read(self, day: date) -> pd.DataFrame:
        with self._opened() as file:
            if _is_plain_timestamp(file.schema_arrow.field(self._date.name).type):
                return self._filtered(file.schema_arrow.field(self._date.name).type, day)
            return _taken(file, np.flatnonzero(self._days() == day.isoformat()))

    def newest_day(self) -> date | None:
        days = self._days()
        return date.fromisoformat(max(days)) if len(days) else None

    def _filtered(self, kind: pa.DataType, day: date) -> pd.DataFrame:
        """Row groups without the day are left out by their statistics."""
        start = datetime(day.year, day.month, day.day)  # noqa: DTZ001  as the file has it: without a zone
        bounds = [pa.scalar(moment).cast(kind) for moment in (start, start + timedelta(days=1))]
        within = [(self._date.name, ">=", bounds[0]), (self._date.name, "<", bounds[1])]
        return pq.read_table(self._path, filters=within, partitioning=None).to_pandas()

    def _days(self) -> npt.NDArray[np.str_]:
        with _said_plainly(self._path):
            state = self._path.stat()
            return _days_in(self._path, state.st_mtime_ns, state.st_size, self._date)

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        with _said_plainly(self._path), _opened(self._path) as file:
            if self._date.name not in file.schema_arrow.names:
                raise DataInvalid(f"{self._path.name}: the column {self._date.name!r} is missing")
            yield file


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except pa.ArrowInvalid as error:
        raise half_delivered(path.name, "it is no whole Parquet file") from error


@lru_cache(maxsize=4)
def _days_in(path: Path, _modified: int, _size: int, declared: SaleDate) -> npt.NDArray[np.str_]:
    """The ISO day of each row of the file, in its order; only the date column is read."""
    with _opened(path) as file:
        if declared.name not in file.schema_arrow.names:
            raise DataInvalid(f"{path.name}: the column {declared.name!r} is missing")
        values = file.read([declared.name])[declared.name].to_pandas()
    return sale_days(declared, values).to_numpy(dtype=np.str_)


def _taken(file: pq.ParquetFile, positions: npt.NDArray[np.intp]) -> pd.DataFrame:
    """The rows at ``positions``, reading only the row groups that they lie in."""
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    starts = np.cumsum([0, *sizes])
    groups = sorted(set(np.searchsorted(starts, positions, side="right") - 1))
    if not groups:
        return file.schema_arrow.empty_table().to_pandas()
    kept = np.concatenate([np.arange(starts[group], starts[group + 1]) for group in groups])
    return file.read_row_groups([int(g) for g in groups]).take(np.searchsorted(kept, positions)).to_pandas()


def _is_plain_timestamp(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) and kind.tz is None


@contextmanager
def _said_plainly(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise SourceUnavailable(f"there is nothing at {path}: misspelt, or not mounted?") from error
    except OSError as error:
        raise SourceUnavailable(f"{path} cannot be read: {error}") from error
