"""How good predictions are: the figures that metrics.json, the gate and the model card speak of."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.cleaning import DAY
from pipeline.datasets.declaration import Dataset, Slice

Floats = npt.NDArray[np.float64]
ACTUAL, PRICE, LOW, HIGH, BASELINE, REFERENCE = "actual", "price", "low", "high", "baseline", "reference"
LEAST_SLICE_ROWS = 20


@dataclass(frozen=True, slots=True)
class Metrics:
    """Errors of ``rows`` predictions. ``mae``, ``bias`` (mean of predicted minus actual) and ``mean_width`` are
    in the target's unit; ``median_ape``, ``mape`` and ``coverage`` are fractions; an undefined figure is None.
    """

    rows: int
    mae: float
    median_ape: float
    mape: float
    rmsle: float
    r2: float | None
    bias: float
    coverage: float | None = None
    mean_width: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(actual: Floats, predicted: Floats, low: Floats | None = None, high: Floats | None = None) -> Metrics:
    """The metrics of predictions of shape (n,), n >= 1, all in the target's unit."""
    error = predicted - actual
    relative = np.abs(error) / actual
    log_error = np.log1p(np.maximum(predicted, 0)) - np.log1p(actual)
    spread = float(np.sum((actual - actual.mean()) ** 2))
    return Metrics(
        rows=len(actual),
        mae=float(np.mean(np.abs(error))),
        median_ape=float(np.median(relative)),
        mape=float(np.mean(relative)),
        rmsle=float(np.sqrt(np.mean(log_error**2))),
        r2=1 - float(np.sum(error**2)) / spread if spread > 0 else None,
        bias=float(np.mean(error)),
        coverage=None if low is None or high is None else float(np.mean((low <= actual) & (actual <= high))),
        mean_width=None if low is None or high is None else float(np.mean(high - low)),
    )


def of_model(table: pd.DataFrame) -> Metrics:
    """The metrics of the columns price, low, high of a predictions table."""
    actual, price, low, high = (table[name].to_numpy(np.float64) for name in (ACTUAL, PRICE, LOW, HIGH))
    return measure(actual, price, low, high)


def of_guess(table: pd.DataFrame, name: str) -> Metrics | None:
    """The metrics of a column that stands beside the model (baseline, reference); None when it is empty."""
    known = table[table[name].notna()]
    if known.empty:
        return None
    return measure(known[ACTUAL].to_numpy(np.float64), known[name].to_numpy(np.float64))


def by_slice(dataset: Dataset, table: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """The model's metrics for each value of each slice that has enough rows, with the baseline's error beside them."""
    return {
        part.name: {
            label: {**of_model(rows).to_dict(), "baseline_mae": _mae(rows, BASELINE)}
            for label, rows in _parts(table, part)
            if len(rows) >= LEAST_SLICE_ROWS
        }
        for part in dataset.slices
    }


def _mae(rows: pd.DataFrame, name: str) -> float | None:
    found = of_guess(rows, name)
    return None if found is None else found.mae


def _parts(table: pd.DataFrame, part: Slice) -> Iterator[tuple[str, pd.DataFrame]]:
    labels = slice_labels(table, part)
    for label in sorted(labels.unique()):
        yield label, table[labels == label]


def slice_labels(table: pd.DataFrame, part: Slice) -> pd.Series:
    """The slice that each row belongs to, as text; for ages the years between the day of sale and the column."""
    values = table[part.column]
    if part.years_before_sale:
        values = table[DAY].str[:4].astype(int) - values
    if part.edges:
        return _bands(values, part.edges)
    return values.astype(str).str.strip().str.lower().replace("", "(not known)")


def _bands(values: pd.Series, edges: tuple[float, ...]) -> pd.Series:
    names = [f"below {edges[0]:g}", *(f"{low:g} to {high:g}" for low, high in itertools.pairwise(edges))]
    names.append(f"{edges[-1]:g} and more")
    # A leading number keeps the bands in order wherever labels are sorted as text.
    labels = np.array([f"{i} {name}" for i, name in enumerate(names)] + ["(not known)"], dtype=object)
    band = np.searchsorted(edges, values.to_numpy(np.float64), side="right")
    return pd.Series(labels[np.where(values.isna(), len(names), band)], index=values.index)
