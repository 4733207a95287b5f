"""What is worth saying about values that are answered all the same: unusual numbers and unknown texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.contract.column import Values
from pipeline.contract.schema import Column, Schema
from serving.batch import Batch

FEW = 16  # up to so many values a plain loop is faster than numpy
MAX_NOTES = 100


@dataclass(frozen=True, slots=True)
class Note:
    """What is odd about one value of one row. ``row`` counts from 0; ``code`` is stable."""

    row: int
    column: str
    code: str
    message: str


class Observer:
    """Compares the values of a batch with what the model has learned from."""

    def __init__(self, schema: Schema) -> None:
        numbers, texts = [], []
        for index, column in enumerate(schema.inputs):
            if column.known:
                texts.append((index, column.name, frozenset(column.known) | {""}))
            if column.usual_minimum is not None or column.usual_maximum is not None:
                numbers.append((index, column, *_usual(column)))
        self._numbers, self._texts = tuple(numbers), tuple(texts)

    def notes(self, batch: Batch) -> list[Note]:
        """The first hundred notes on a batch, column by column; empty when nothing is odd."""
        if batch.count == 1 and not isinstance(batch.columns[0], np.ndarray) and self._is_usual(batch.columns):
            return []
        found: list[Note] = []
        for index, name, known in self._texts:
            values = _flat(batch.columns[index])
            if not known.issuperset(values):
                message = "the model has not seen this text; the other columns decide"
                found += [Note(i, name, "unknown_text", message) for i, v in enumerate(values) if v not in known]
        for index, column, low, high in self._numbers:
            rows = _outside(batch.columns[index], low, high)
            if rows:
                message = f"the model has learned from {_describe(low, high)}{column.unit and ' ' + column.unit}"
                found += [Note(row, column.name, "unusual_number", message) for row in rows]
        return found[:MAX_NOTES]

    def _is_usual(self, row: Sequence[Values]) -> bool:
        """Whether there is nothing to say on a single row; quickly, as that is what most requests are."""
        for index, _, known in self._texts:
            if row[index][0] not in known:
                return False
        return not any(row[index][0] < low or row[index][0] > high for index, _, low, high in self._numbers)


def _usual(column: Column) -> tuple[float, float]:
    low, high = column.usual_minimum, column.usual_maximum
    return -np.inf if low is None else low, np.inf if high is None else high


def _flat(values: Any) -> Any:
    return values.reshape(-1).tolist() if isinstance(values, np.ndarray) else values


def _outside(values: Any, low: float, high: float) -> list[int]:
    if len(values) <= FEW:
        return [row for row, value in enumerate(_flat(values)) if value < low or value > high]
    numbers: npt.NDArray[np.float64] = np.asarray(values, np.float64).reshape(-1)
    return [int(row) for row in np.flatnonzero((numbers < low) | (numbers > high))]


def _describe(low: float, high: float) -> str:
    if not np.isfinite(low):
        return f"numbers up to {high:.12g}"
    return f"{low:.12g} to {high:.12g}" if np.isfinite(high) else f"numbers from {low:.12g}"
