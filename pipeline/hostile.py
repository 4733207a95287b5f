"""Rows made to show a wrong conversion: missing and unseen values, range ends, neighbours of split thresholds.

Not here: the comparison itself (``pipeline/parity.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from pipeline.contract.schema import Column, Schema
from pipeline.model import IntervalRegressor
from pipeline.onnx_columns import is_plain
from pipeline.tree_ensemble import members

Floats = npt.NDArray[np.float64]

MOST_ROWS = 20_000
BASE_ROWS = 16
UNSEEN = "never seen 7f3a"
TEXTS = (
    UNSEEN,
    " ",
    "nan",
    "None",
    "x" * 200,
    "x" * 10_000,
    "\N{LATIN SMALL LETTER E WITH ACUTE}e\N{COMBINING ACUTE ACCENT}",
    "\N{LATIN SMALL LETTER SHARP S}\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}",
    "\N{PILE OF POO}\N{ZERO WIDTH JOINER}\N{RIGHT-TO-LEFT OVERRIDE}",
    "a\tb\r\n",
    "\N{NO-BREAK SPACE}",
)


def hostile_rows(schema: Schema, thresholds: Mapping[str, Floats], sample: pd.DataFrame) -> pd.DataFrame:
    """At most ``MOST_ROWS`` rows with the schema's columns: float64 with NaN, or str with "" for missing.

    Each row is one of ``sample`` with one value changed (or all values missing). ``thresholds`` are the split
    thresholds by numeric column. The same arguments give the same rows.
    """
    columns = [column.name for column in schema.inputs]
    base = _spread(sample[columns], BASE_ROWS)
    changes = [(column.name, value) for column in schema.inputs for value in _values(column, base[column.name])]
    near = [(name, value) for name in columns if name in thresholds for value in _neighbours(thresholds[name])]
    whole = [base, _all_missing(schema), *_unseen(schema, base), _changed(base, changes)]
    room = MOST_ROWS - sum(map(len, whole))
    if len(near) > room:
        near = [near[i] for i in np.linspace(0, len(near) - 1, room).astype(int)]
    return pd.concat([*whole, _changed(base, near)]).reset_index(drop=True)


def thresholds(pipeline: Pipeline) -> dict[str, Floats]:
    """The finite split thresholds of the price model's trees on each raw numeric column, sorted."""
    price = pipeline[-1]
    if not isinstance(price, IntervalRegressor):
        return {}
    found: dict[str, set[float]] = {}
    sources = _raw_columns(pipeline)
    for nodes in _trees([price.point_, price.lower_, price.upper_]):
        for feature, threshold in zip(nodes["feature_idx"], nodes["num_threshold"], strict=True):
            if sources[feature] is not None and np.isfinite(threshold):
                found.setdefault(str(sources[feature]), set()).add(float(threshold))
    return {name: np.array(sorted(values)) for name, values in found.items()}


def _trees(models: list[Any]) -> Iterator[npt.NDArray[Any]]:
    """The branches of each tree."""
    for model in models:
        for part in members(model) or []:
            for tree, *_ in part._predictors:  # noqa: SLF001  sklearn has no public way to the trees
                yield tree.nodes[tree.nodes["is_leaf"] == 0]


def _raw_columns(pipeline: Pipeline) -> list[str | None]:
    """For each feature of the price model the raw column that it is, or None if it is made of others."""
    labels: list[str | None] = list(pipeline.feature_names_in_)
    for _, model in pipeline.steps[:-1]:
        names = [str(name) for name in getattr(model, "feature_names_in_", [])]
        made: list[str | None] = [None] * max(part.stop for part in model.output_indices_.values())
        for name, transformer, columns in model.transformers_:
            if is_plain(transformer):
                made[model.output_indices_[name]] = [labels[names.index(c) if names else c] for c in columns]
        labels = made
    return labels


def _spread(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    """``count`` rows at equal distances."""
    return frame.iloc[np.unique(np.linspace(0, len(frame) - 1, count).astype(int))]


def _missing(column: Column) -> float | str:
    return np.nan if column.kind == "numeric" else ""


def _all_missing(schema: Schema) -> pd.DataFrame:
    return pd.DataFrame([{column.name: _missing(column) for column in schema.inputs}])


def _unseen(schema: Schema, base: pd.DataFrame) -> list[pd.DataFrame]:
    """The base rows with no text that was ever seen."""
    texts = [column.name for column in schema.inputs if column.kind == "categorical"]
    return [base.assign(**dict.fromkeys(texts, UNSEEN))] if texts else []


def _values(column: Column, seen: pd.Series) -> list[Any]:
    if column.kind == "categorical":
        words = sorted(set(seen))
        return ["", *TEXTS, *(case(word) for word in words for case in (str.upper, str.lower, str.swapcase, _padded))]
    ends = [end for end in (column.minimum, column.maximum) if end is not None]
    beyond = [
        value for end in ends for value in (np.nextafter(end, -np.inf), np.nextafter(end, np.inf), end - 1, end + 1)
    ]
    middle = float(np.nan_to_num(seen.median()))
    return [np.nan, *ends, *beyond, 0.0, -0.0, -0.5, -1.0, -1.5, middle + 0.5, 1e18, -1e18]


def _padded(text: str) -> str:
    return f"  {text} "


def _neighbours(values: Floats) -> list[float]:
    """Each value, its two double neighbours and its two float32 neighbours."""
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
        below = np.where(single < values, single, np.nextafter(single, np.float32(-np.inf))).astype(np.float64)
        above = np.where(single > values, single, np.nextafter(single, np.float32(np.inf))).astype(np.float64)
    near = [values, np.nextafter(values, -np.inf), np.nextafter(values, np.inf), below, above]
    return list(np.unique(np.concatenate(near)).tolist())


def _changed(base: pd.DataFrame, changes: list[tuple[str, Any]]) -> pd.DataFrame:
    """One row for each change, from the base rows in turn."""
    frame = base.iloc[np.arange(len(changes)) % len(base)].reset_index(drop=True)
    for name in frame.columns:
        rows = [i for i, (changed, _) in enumerate(changes) if changed == name]
        values = frame[name].to_numpy(copy=True)
        values[rows] = [changes[i][1] for i in rows]
        frame[name] = values
    return frame
