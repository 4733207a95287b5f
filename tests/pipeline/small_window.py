"""A small window of simulated sales, and price models small enough to be fitted in every test."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from pipeline import train as train_module
from pipeline.datasets.declaration import Dataset
from pipeline.partitions import keep, write_window
from pipeline.preprocess import Options, preprocess
from pipeline.store import Store
from pipeline.train import train
from pipeline.workspace import Ref, read_file
from tests.pipeline.auction_rows import DATASET, sales

MONDAY = date(2026, 3, 2)
DAYS = tuple(MONDAY + timedelta(days=n) for n in (0, 1, 2, 3, 4, 7))
ROWS_A_DAY = 130
NEWEST = DAYS[-1]
SMALL = {"max_iter": 15, "max_leaf_nodes": 8, "learning_rate": 0.2}

Change = Callable[[date, pd.DataFrame], pd.DataFrame]


def put_window(store: Store, change: Change = lambda day, rows: rows, days: tuple[date, ...] = DAYS) -> Ref:
    """A partition for each day, with the rows as ``change`` makes them, and the window of all."""
    parts = [keep(store, DATASET, day, change(day, sales(day, ROWS_A_DAY))) for day in days]
    return write_window(store, DATASET.name, parts)


def prepare(store: Store, window: Ref, dataset: Dataset = DATASET, **options: Any) -> Ref:
    with threadpool_limits(1):
        prepared = preprocess(dataset, store, window, Options(**options))
    assert prepared.prefix, prepared.message
    return Ref(prepared.prefix, prepared.digest)


def fit(store: Store, prepared: Ref, dataset: Dataset = DATASET) -> Ref:
    """The train step with small models."""
    with threadpool_limits(1), small_models():
        trained = train(dataset, store, prepared)
    return Ref(trained.prefix, trained.digest)


@contextmanager
def small_models() -> Iterator[None]:
    """The price models of the train step by their own recipe, but with few and small trees."""
    candidates, quantile = train_module.candidates, train_module.quantile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "candidates", lambda seed: {n: _small(m) for n, m in candidates(seed).items()})
        patch.setattr(train_module, "quantile", lambda level, seed: _small(quantile(level, seed)))
        yield


def _small(model: Any) -> Any:
    """Every ensemble of trees within the model, made small."""
    trees = [name.removesuffix("max_leaf_nodes") for name in model.get_params() if name.endswith("max_leaf_nodes")]
    return model.set_params(**{f"{name}{key}": value for name in trees for key, value in SMALL.items()})


def matrices(store: Store, prepared: Ref, name: str = "evaluation") -> dict[str, Any]:
    with np.load(io.BytesIO(read_file(store, prepared, f"{name}.npz"))) as arrays:
        return dict(arrays)


def loaded(store: Store, ref: Ref, name: str) -> Any:
    """What a step pickled into a folder."""
    return joblib.load(io.BytesIO(read_file(store, ref, name)))


def table(store: Store, ref: Ref, name: str) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(read_file(store, ref, name)))
