"""A small real dataset and a Pipeline fitted on it, as the train step makes them: what the tests of export work on."""

from __future__ import annotations

import io
import json
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from pipeline.datasets.declaration import Categorical, Dataset, Numeric, SaleDate
from pipeline.group_effects import EFFECTS
from pipeline.model import IntervalRegressor
from pipeline.preprocess import Options, build_transformer, relative_target
from pipeline.store import Store
from pipeline.workspace import Ref, Workspace

DATASET = Dataset(
    name="toy_cars",
    model_name="toy_price",
    title="Toy cars",
    date=SaleDate("sold"),
    target=Numeric("paid", "USD", "the price it went for", 1, 1_000_000, 9_000),
    columns=(
        Numeric("year", "model year", "model year", 1900, 2100, 2010),
        Categorical("make", "maker", "Ford"),
        Categorical("colour", "colour", "red", missing=("-",)),
        Numeric("miles", "miles", "distance driven", 0, 1_000_000, 40_000),
        Numeric("guide", "USD", "guide price", 1, 1_000_000, 10_000),
    ),
    reference=("make",),
    groups=(("make",), ("colour",), ("make", "colour"), ("make", "year")),
    peers=((("make",), ("make", "year")), (("make",),)),
    baseline="guide",
)
NUMBERS = ["year", "miles", "guide"]
TEXTS = ["make", "colour"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """sklearn's threads wait for each other by spinning: on a busy machine a tiny fit takes seconds with two."""
    with threadpool_limits(1):
        yield


def cars(count: int, seed: int = 0) -> pd.DataFrame:
    """Clean rows with prices: float64 with NaN, text with ""."""
    random = np.random.default_rng(seed)
    year = random.integers(2000, 2015, count).astype(float)
    miles = random.lognormal(10.5, 0.6, count)
    make = random.choice(np.array(["Ford", "ford", "FIAT", "Kia", ""], dtype=object), count)
    colour = random.choice(np.array(["red", "sky blue", "-", "", "\N{GREEK SMALL LETTER MU}"], dtype=object), count)
    guide = np.round(1_000 + 900 * (year - 1999) * np.exp(-miles / 90_000) * random.uniform(0.8, 1.2, count))
    paid = guide * (0.9 + 0.1 * (make == "Ford") - 0.05 * (colour == "red")) * random.normal(1, 0.05, count)
    frame = pd.DataFrame({"year": year, "make": make, "colour": colour, "miles": miles, "guide": guide, "paid": paid})
    for name in ("year", "miles"):
        frame.loc[random.random(count) < 0.1, name] = np.nan
    return frame


def trees(loss: str = "absolute_error", **settings: Any) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        loss=loss, max_iter=settings.pop("max_iter", 12), max_leaf_nodes=8, early_stopping=False, **settings
    )


def fitted(rows: pd.DataFrame, *, baseline: bool = True, point: Any = None) -> Pipeline:
    """Features and price fitted on ``rows``; ``point`` takes the place of the trees for the price itself."""
    options = Options(with_baseline=baseline)
    columns = [column.name for column in DATASET.schema(baseline).inputs]
    transformer = build_transformer(DATASET, options)
    matrix = transformer.fit_transform(rows[columns], relative_target(DATASET, options, rows))
    index = list(transformer.get_feature_names_out()).index("guide" if baseline else EFFECTS)
    price = IntervalRegressor(
        point or trees(),
        trees("quantile", quantile=0.1),
        trees("quantile", quantile=0.9),
        baseline_index=index,
        log_baseline=not baseline,
        minimum=1_000.0,
    ).fit(matrix, rows["paid"].to_numpy())
    price.offsets_ = (0.01, -0.02)
    return Pipeline([*transformer.steps, ("price", price)])


def put(store: Store, pipeline: Pipeline, rows: pd.DataFrame, *, with_baseline: bool = True) -> Ref:
    """A trained folder, as the train step writes it."""
    model, table = io.BytesIO(), io.BytesIO()
    joblib.dump(pipeline, model)
    rows.to_parquet(table)
    facts = {
        "fingerprint": "f1",
        "data_day": "2015-06-10",
        "metrics": {"mae": 1.5},
        "lineage": {"rows": len(rows)},
        "with_baseline": with_baseline,
    }
    files = {
        "model.joblib": model.getvalue(),
        "rows.parquet": table.getvalue(),
        "manifest_facts.json": json.dumps(facts).encode(),
    }
    return Workspace(store, "trained/toy_cars").publish("one", files)
