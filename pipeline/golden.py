"""Chooses the recorded requests that a server must answer before it may serve a release.

Not here: how they are written (``pipeline/contract/bundle.py``), or checked (``serving``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.contract.bundle import Golden
from pipeline.contract.schema import RowsInvalid, Schema
from pipeline.errors import ModelRefused
from pipeline.hostile import UNSEEN
from pipeline.scoring import Scorer

Floats = npt.NDArray[np.float64]
Row = Mapping[str, Any]

ROWS = 24
TRIED = 96  # some rows are outside what a request may hold, such as a guide price that is not known


def record(schema: Schema, scorer: Scorer, rows: pd.DataFrame, answers: Floats) -> Golden:
    """``ROWS`` requests with the model's own answers, all finite; the same arguments give the same ones.

    Two in three are rows of ``rows`` from the cheapest to the dearest by ``answers`` (n, outputs); the others
    have missing values or texts that were never seen.

    Raises:
        ModelRefused: no row has a finite answer.
    """
    finite = np.flatnonzero(np.isfinite(answers).all(axis=1))
    by_price = finite[np.argsort(answers[finite, 0], kind="stable")]
    tried = rows.iloc[_spread(by_price, TRIED)]
    ordinary = _accepted(schema, [_row(schema, values) for _, values in tried.iterrows()])
    changed = [change for row in _spread(ordinary, ROWS) for change in _changes(schema, row)]
    odd = _spread(_answerable(schema, scorer, changed), ROWS // 3)
    chosen = [*_spread(ordinary, ROWS - len(odd)), *odd]
    if not chosen:
        raise ModelRefused("the model has no finite answer to any row that a request may hold")
    return Golden(tuple(chosen), _answers(schema, scorer, chosen))


def _row(schema: Schema, values: pd.Series) -> Row:
    return {column.name: _json(values[column.name]) for column in schema.inputs}


def _json(value: Any) -> float | str | None:
    if isinstance(value, str):
        return value or None
    return None if pd.isna(value) else float(value)


def _accepted(schema: Schema, rows: list[Row]) -> list[Row]:
    """Those rows that a server would take."""
    return [row for row in rows if _is_accepted(schema, row)]


def _is_accepted(schema: Schema, row: Row) -> bool:
    try:
        schema.arrays([row])
    except RowsInvalid:
        return False
    return True


def _changes(schema: Schema, row: Row) -> list[Row]:
    """The row with all missing that may be, with each such value missing, with unseen texts."""
    optional = [column.name for column in schema.inputs if not column.required]
    texts = [column.name for column in schema.inputs if column.kind == "categorical"]
    return [
        {**row, **dict.fromkeys(optional)},
        {**row, **dict.fromkeys(texts, UNSEEN)},
        *({**row, name: None} for name in optional),
        *({**row, name: UNSEEN} for name in texts),
    ]


def _answerable(schema: Schema, scorer: Scorer, rows: list[Row]) -> list[Row]:
    accepted = _accepted(schema, rows)
    finite = np.isfinite(scorer.predict(_frame(schema, accepted)))
    return [accepted[i] for i in np.flatnonzero(finite.all(axis=1))]


def _answers(schema: Schema, scorer: Scorer, rows: list[Row]) -> tuple[Mapping[str, float], ...]:
    answers = scorer.predict(_frame(schema, rows)).tolist()
    return tuple(dict(zip(schema.outputs, answer, strict=True)) for answer in answers)


def _frame(schema: Schema, rows: list[Row]) -> pd.DataFrame:
    """The rows as a server reads them."""
    arrays = schema.arrays(rows)
    return pd.DataFrame({name: values[:, 0] for name, values in arrays.items()})


def _spread(values: Any, count: int) -> Any:
    """At most ``count`` of ``values``, at equal distances."""
    chosen = np.linspace(0, len(values) - 1, min(count, len(values))).astype(int)
    return [values[i] for i in chosen.tolist()]
