"""Both releases against what cars then went for: errors on the same sales, which neither of them has learned from.

Not here: the one day's score of what was live (``pipeline/score.py``).
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from pipeline.cleaning import DAY, clean
from pipeline.contract.bundle import Bundle
from pipeline.datasets.declaration import Dataset
from pipeline.metrics import ACTUAL, slice_labels
from pipeline.partitions import Partition, newest_partitions, read_partition
from pipeline.releases import report_statistics as statistics
from pipeline.releases.report_parts import LEAST_ROWS, SALES, Figure, Part
from pipeline.scoring import Scorer
from pipeline.store import Store

MOST_ROWS = 200_000  # the newest; what else there is would change nothing but the time it takes
ERROR_A, ERROR_B = "error of A", "error of B"  # no column of a dataset has a blank in its name


def compare_sales(dataset: Dataset, store: Store, a: Bundle, b: Bundle) -> Part:
    """The part about sold prices. Days up to the newest that either has learned from are never used.

    Raises:
        DataInvalid: a partition was damaged.
    """
    newest = max(a.manifest.data_day, b.manifest.data_day)
    partitions = _newer(store, dataset.name, newest)
    lacking = _lacking(dataset, a, b)
    if not partitions or lacking:
        return Part(
            SALES, absent=lacking or f"there are no sales newer than {newest}, the newest day that either knows"
        )
    scorers = [Scorer(each.model, each.manifest.schema) for each in (a, b)]
    parts = [_errors(dataset, store, each, scorers) for each in partitions]
    table = pd.concat(parts, ignore_index=True)
    known = np.isfinite(table[[ERROR_A, ERROR_B]].to_numpy()).all(axis=1)
    notes = (f"{(~known).sum():,} rows are left out that one of them cannot price",) if not known.all() else ()
    table = table[known].reset_index(drop=True)
    if len(table) < LEAST_ROWS:
        return Part(
            SALES, absent=f"there are {len(table)} sales newer than {newest}, {LEAST_ROWS} are needed", notes=notes
        )
    days = f"of {partitions[0].day} to {partitions[-1].day}, days with sales: {len(partitions)}"
    return Part(
        SALES,
        figures=(_figure("mean absolute error", table),),
        slices=_slices(dataset, table),
        deviation=float((table[ERROR_B] - table[ERROR_A]).std(ddof=1)),
        notes=(days, *notes),
    )


def _newer(store: Store, dataset: str, newest: str) -> list[Partition]:
    """The partitions after a day, the oldest first; of many the newest ``MOST_ROWS`` rows."""
    days = {key.split("/")[2] for key in store.keys(f"partitions/{dataset}/")}
    newer = [date.fromisoformat(day) for day in days if day > newest]
    found: list[Partition] = []
    for partition in reversed(newest_partitions(store, dataset, newer).values()):
        if sum(each.rows for each in found) >= MOST_ROWS:
            break
        found += [partition] if partition.rows else []
    return found[::-1]


def _lacking(dataset: Dataset, *bundles: Bundle) -> str:
    """Why the rows cannot be asked about; empty when they can."""
    columns = {column.name for column in dataset.columns}
    asked = {column.name for each in bundles for column in each.manifest.schema.inputs}
    return f"the sales have no column {', '.join(sorted(asked - columns))}" if asked - columns else ""


def _errors(dataset: Dataset, store: Store, partition: Partition, scorers: list[Scorer]) -> pd.DataFrame:
    """What the slices are made of, and both absolute errors."""
    rows, _ = clean(dataset, read_partition(store, partition).assign(**{DAY: partition.day}))
    actual = rows[dataset.target.name]
    columns = list(dict.fromkeys([DAY, *(part.column for part in dataset.slices)]))
    errors = [np.abs(each.predict(rows)[:, 0] - actual.to_numpy(np.float64)) for each in scorers]
    return rows[columns].assign(**{ACTUAL: actual, ERROR_A: errors[0], ERROR_B: errors[1]})


def _slices(dataset: Dataset, table: pd.DataFrame) -> tuple[Figure, ...]:
    found: list[Figure] = []
    for part in dataset.slices:
        labels = slice_labels(table, part)
        sizes = labels.value_counts()
        enough = sorted(sizes[sizes >= LEAST_ROWS].index)
        found.extend(_figure(f"{part.name} {label}", table[labels == label]) for label in enough)
    return tuple(found)


def _figure(name: str, table: pd.DataFrame) -> Figure:
    a, b = (table[each].to_numpy(np.float64) for each in (ERROR_A, ERROR_B))
    rows = (len(table), len(table))
    return Figure(name, "difference", float(a.mean()), float(b.mean()), statistics.mean(b - a), rows)
