"""Checked rows of one request, by columns, and several requests' rows as one. What is done with them is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.contract.column import Values
from pipeline.contract.schema import Arrays, Schema


@dataclass(frozen=True, slots=True)
class Batch:
    """``count`` rows. ``columns`` are in the schema's order: numbers with NaN, texts with "" for "not known".

    A column is a sequence of plain values (the cheaper form for a few rows) or an array of shape (n, 1).
    """

    columns: Sequence[Values]
    count: int

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]], count: int) -> Batch:
        return cls(tuple(arrays.values()), count)

    def arrays(self, schema: Schema) -> Arrays:
        """What the session takes: for each column (n, 1) float64 or object of str."""
        pairs = zip(schema.inputs, self.columns, strict=True)
        return {column.name: _array(values, column.kind == "numeric") for column, values in pairs}

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Each row's values in the schema's order."""
        return zip(*map(_plain, self.columns), strict=True)

    def only(self, rows: Sequence[int]) -> Batch:
        """These rows of it, in this order."""
        columns = [
            values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows] for values in self.columns
        ]
        return Batch(columns, len(rows))


def gathered(batches: Sequence[Batch]) -> Batch:
    """The rows of all ``batches`` one after the other."""
    if len(batches) == 1:
        return batches[0]
    columns = [
        list(chain.from_iterable(map(_plain, parts))) for parts in zip(*(b.columns for b in batches), strict=True)
    ]
    return Batch(columns, sum(batch.count for batch in batches))


def _plain(values: Values) -> Sequence[Any]:
    return values.reshape(-1).tolist() if isinstance(values, np.ndarray) else values


def _array(values: Values, numeric: bool) -> npt.NDArray[Any]:
    if isinstance(values, np.ndarray):
        return values
    return np.array(values, np.float64 if numeric else object).reshape(-1, 1)
