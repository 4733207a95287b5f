"""One day's sales scored by the release that was live before them: the honest error of what clients were told.

A day is scored once, before it joins the window; the result is kept in the store, so that a run that is
repeated reports the same figures. Not here: metrics of a model on its own test rows (``pipeline/train.py``).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import pandas as pd

from pipeline.cleaning import DAY, clean
from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import Bundle
from pipeline.datasets.declaration import Dataset
from pipeline.metrics import ACTUAL, BASELINE, HIGH, LOW, PRICE, of_guess, of_model
from pipeline.partitions import Partition, read_partition
from pipeline.releases import live_release, read_release
from pipeline.scoring import Scorer
from pipeline.store import KeyNotFound, Store


@dataclass(frozen=True, slots=True)
class Score:
    """Errors on ``rows`` sales of ``day``, in the target's unit; ``version`` is the release that was asked.

    Without an earlier release there is nothing to score by: every figure but ``rows`` is None.
    """

    day: str
    rows: int
    version: int | None = None
    mae: float | None = None
    baseline_mae: float | None = None
    interval_coverage: float | None = None


def score(dataset: Dataset, store: Store, partition: Partition) -> Score:
    """The score of a partition's day; the recorded one if it was scored before."""
    key = f"scores/{dataset.model_name}/{partition.day}-v{partition.version}.json"
    try:
        return Score(**json.loads(store.read(key).data))
    except KeyNotFound:
        found = _score(dataset, store, partition)
        store.create(key, bundles.to_json(asdict(found)))
        return found


def _score(dataset: Dataset, store: Store, partition: Partition) -> Score:
    rows, _ = clean(dataset, read_partition(store, partition).assign(**{DAY: partition.day}))
    champion = live_release(store, dataset.model_name)
    if champion is None or champion.data_day >= partition.day or rows.empty:
        return Score(partition.day, len(rows))
    bundle = read_release(store, dataset.model_name, champion.version, champion.digest)
    table = predictions(dataset, bundle, rows)
    model, baseline = of_model(table), of_guess(table, BASELINE)
    return Score(
        partition.day,
        len(rows),
        champion.version,
        model.mae,
        None if baseline is None else baseline.mae,
        model.coverage,
    )


def predictions(dataset: Dataset, bundle: Bundle, rows: pd.DataFrame) -> pd.DataFrame:
    """Clean rows with their actual price, the bundle's answers and the baseline beside them."""
    answers = Scorer(bundle.model, bundle.manifest.schema).predict(rows)
    baseline = rows[dataset.baseline] if dataset.baseline else float("nan")
    columns = {ACTUAL: rows[dataset.target.name], BASELINE: baseline}
    return rows.assign(**columns, **{name: answers[:, i] for i, name in enumerate((PRICE, LOW, HIGH))})
