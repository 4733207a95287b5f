"""The step fetch: the raw rows of a day, and of the days of its window that are missing, into partitions.

Run again, killed or not, it finds what is there and ends in the same state. Not here: sources, cleaning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from pipeline.datasets.declaration import Dataset
from pipeline.errors import DataInvalid
from pipeline.partitions import Partition, keep, newest_partitions, write_window
from pipeline.raw_check import check_raw
from pipeline.sources import Source
from pipeline.store import Store
from pipeline.workspace import Ref

# A day that was empty is asked again this many days long: files come late, and an empty answer is cheap.
LATE_DAYS = 3

Progress = Callable[[int, int, date], None]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What is there after the step: the partition of ``day``, and the window that ends with it.

    ``window`` is None when ``day`` had no sales: then nothing is to be learned from it. ``new_days`` are those
    whose rows were not there before, oldest first.
    """

    day: str
    rows: int
    partition: Partition
    window: Ref | None
    new_days: tuple[str, ...]
    message: str


def fetch(
    dataset: Dataset,
    source: Source,
    store: Store,
    day: date,
    window_days: int,
    *,
    progress: Progress | None = None,
) -> Fetched:
    """Fetch ``day`` anew, and those of the ``window_days`` calendar days ending with it that have no partition.

    ``progress`` is called after each day with the number done, the number of all, and the day.

    Raises:
        SourceUnavailable: the source does not answer; try again.
        DataInvalid: a delivery is not what the dataset declares; the message names the day and the column.
    """
    days = [day - timedelta(days=back) for back in range(window_days)][::-1]
    known = newest_partitions(store, dataset.name, days)
    before = dict(known)
    asked = [day, *(d for d in days[:-1] if _is_missing(known.get(d.isoformat()), d, day))]
    for done, each in enumerate(asked, start=1):
        known[each.isoformat()] = _keep_day(dataset, source, store, each)
        if progress is not None:
            progress(done, len(asked), each)
        if known[day.isoformat()].rows == 0:
            break
    new = tuple(sorted(name for name, found in known.items() if found.rows and found != before.get(name)))
    partition = known[day.isoformat()]
    if partition.rows == 0:
        return Fetched(day.isoformat(), 0, partition, None, new, _nothing(source, day))
    full = [found for found in known.values() if found.rows]
    window = write_window(store, dataset.name, full)
    return Fetched(day.isoformat(), partition.rows, partition, window, new, _summary(partition, full, new))


def _is_missing(partition: Partition | None, its_day: date, day: date) -> bool:
    return partition is None or (partition.rows == 0 and (day - its_day).days <= LATE_DAYS)


def _keep_day(dataset: Dataset, source: Source, store: Store, day: date) -> Partition:
    try:
        rows = source.read(day)
        if len(rows.columns):
            check_raw(dataset, rows)
        return keep(store, dataset, day, rows)
    except DataInvalid as error:
        raise DataInvalid(f"{day}: {error}") from error


def _summary(partition: Partition, window: list[Partition], new: tuple[str, ...]) -> str:
    rows = sum(found.rows for found in window)
    again = f" (delivery {partition.version} of this day)" if partition.version > 1 else ""
    sales = f"{partition.rows:,} sales on {partition.day}{again}"
    return f"{sales}; window of {rows:,} on {len(window)} days, {len(new)} of them new"


def _nothing(source: Source, day: date) -> str:
    newest = source.newest_day()
    if newest is not None and newest < day:
        return f"no sales on {day}: the newest day of {source.description} is {newest}"
    return f"no sales on {day} in {source.description}: nothing to learn"
