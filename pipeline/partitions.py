"""Partitions (the raw rows of one data day, immutable) and windows (which partitions a model learns from).

A partition's bytes depend on its rows alone, not on their order, the order of the columns or how they were
delivered in parts. Not here: where rows come from (``pipeline/sources``), when they are asked for
(``pipeline/fetch.py``).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.contract.bundle import sha256, to_json
from pipeline.datasets.declaration import Dataset
from pipeline.errors import DataInvalid, StoreUnavailable
from pipeline.store import KeyExists, Store
from pipeline.workspace import Ref, Workspace, key_of, read_file

ROWS, ABOUT, WINDOW = "rows.parquet", "partition.json", "window.json"
TRIES = 5


@dataclass(frozen=True, slots=True)
class Partition:
    """The raw rows of ``day`` (ISO date). ``version`` counts deliveries with other rows, from 1;

    ``sha256`` is that of the Parquet file.
    """

    dataset: str
    day: str
    version: int
    rows: int
    sha256: str

    @property
    def prefix(self) -> str:
        return f"{_day_prefix(self.dataset, self.day)}v{self.version}"


def keep(store: Store, dataset: Dataset, day: date, frame: pd.DataFrame) -> Partition:
    """The partition of these rows: the newest one of the day if it has the same rows, otherwise a new version.

    ``frame`` has the dataset's raw columns (in any order), or none at all for a day without sales.
    """
    table = canonical(dataset, frame)
    data = _bytes(table)
    for _ in range(TRIES):
        newest = _newest(store, dataset.name, day.isoformat())
        if newest is not None and _same(store, newest, data, table):
            return newest
        version = newest.version + 1 if newest else 1
        partition = Partition(dataset.name, day.isoformat(), version, table.num_rows, sha256(data))
        try:
            store.publish(partition.prefix, {ROWS: data, ABOUT: to_json(asdict(partition))}, last=ABOUT)
        except KeyExists:
            continue  # another run kept other rows of this day just now: look again
        return partition
    raise StoreUnavailable(f"several runs are writing {day} of {dataset.name} at once; try later")


def newest_partitions(store: Store, dataset: str, days: Iterable[date]) -> dict[str, Partition]:
    """The newest partition of each of ``days`` that has one, by ISO day, in order.

    One listing a month and one small read a day, however long the history is.
    """
    wanted = {day.isoformat() for day in days}
    found: dict[str, int] = {}
    for month in sorted({day[:7] for day in wanted}):
        for key in store.keys(_day_prefix(dataset, month)[:-1]):
            day, version = _read_key(key)
            if day in wanted and key.endswith(f"/{ABOUT}"):
                found[day] = max(version, found.get(day, 0))
    return {day: _about(store, dataset, day, version) for day, version in sorted(found.items())}


def read_partition(store: Store, partition: Partition) -> pd.DataFrame:
    """The rows as delivered: numbers as float64, text as str, dates as text or datetime64; missing as NaN.

    Raises:
        DataInvalid: the file was changed after it was written.
    """
    return _read_table(store, partition).to_pandas()


def write_window(store: Store, dataset: str, partitions: Iterable[Partition]) -> Ref:
    """Write down which partitions make a window; the same partitions give the same reference."""
    listed = [asdict(partition) for partition in sorted(partitions, key=lambda partition: partition.day)]
    return Workspace(store, f"windows/{dataset}").publish(key_of(listed), {WINDOW: to_json(listed)})


def read_window(store: Store, ref: Ref) -> tuple[Partition, ...]:
    """The partitions of a window, oldest day first."""
    return tuple(Partition(**fields) for fields in json.loads(read_file(store, ref, WINDOW)))


def canonical(dataset: Dataset, frame: pd.DataFrame) -> pa.Table:
    """The rows in one order, the columns in the declared order, each of one of three types.

    Numbers become double, dates timestamp[us] without a zone, everything else string; missing is null.
    """
    if frame.empty:
        return pa.table({name: pa.array([], pa.string()) for name in dataset.raw_columns})
    table = pa.table({name: _column(frame[name]) for name in dataset.raw_columns})
    return table.sort_by([(name, "ascending") for name in table.column_names]).combine_chunks()


def _column(values: pd.Series) -> pa.Array:
    """By content, not by pandas' type: a column of the same values may be int in one part and float in the next."""
    if isinstance(values.dtype, pd.StringDtype):
        return pa.array(values, pa.string(), from_pandas=True)
    given = values.dropna()
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_localize(None)
    if pd.api.types.is_datetime64_dtype(values) or _all(given, (date,)):
        return pa.array(pd.to_datetime(values).astype("datetime64[us]"), pa.timestamp("us"), from_pandas=True)
    if (pd.api.types.is_numeric_dtype(values) and values.dtype != bool) or _all(given, (float, int, np.number)):
        return pa.array(values.astype(np.float64) + 0.0, pa.float64(), from_pandas=True)  # + 0.0: no minus zero
    return pa.array(
        [None if missing else str(v) for v, missing in zip(values, values.isna(), strict=True)], pa.string()
    )


def _all(values: pd.Series, kinds: tuple[type, ...]) -> bool:
    if values.dtype != object or values.empty:
        return False
    return all(isinstance(value, kinds) and not isinstance(value, bool) for value in values)


def _bytes(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", version="2.6", row_group_size=1 << 20, store_schema=False)
    return sink.getvalue()


def _same(store: Store, partition: Partition, data: bytes, table: pa.Table) -> bool:
    """Equal bytes, or equal rows that another release of the Parquet library wrote."""
    if partition.sha256 == sha256(data):
        return True
    return partition.rows == table.num_rows and bool(_read_table(store, partition).equals(table))


def _read_table(store: Store, partition: Partition) -> pa.Table:
    data = store.read(f"{partition.prefix}/{ROWS}").data
    if sha256(data) != partition.sha256:
        raise DataInvalid(
            f"{partition.prefix}/{ROWS} was changed after it was written; remove the folder and run again"
        )
    return pq.read_table(io.BytesIO(data))


def _newest(store: Store, dataset: str, day: str) -> Partition | None:
    return newest_partitions(store, dataset, [datetime.fromisoformat(day).date()]).get(day)


def _about(store: Store, dataset: str, day: str, version: int) -> Partition:
    return Partition(**json.loads(store.read(f"{_day_prefix(dataset, day)}v{version}/{ABOUT}").data))


def _day_prefix(dataset: str, day: str) -> str:
    return f"partitions/{dataset}/{day}/"


def _read_key(key: str) -> tuple[str, int]:
    day, version = key.split("/")[-3:-1]
    return day, int(version.removeprefix("v"))
