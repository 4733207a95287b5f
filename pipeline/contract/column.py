"""One input column of a model, and the values a request brings for it: checked, and as the ONNX graph takes them.

Not here: a row of several columns (``schema.py``), or how a request arrives (``serving``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["numeric", "categorical"]
Values = Sequence[Any] | npt.NDArray[Any]

MAX_TEXT = 200
FEW = 16  # up to so many values a plain loop is faster than numpy


@dataclass(frozen=True, slots=True)
class Column:
    """One input column of a model.

    ``minimum`` and ``maximum`` bound a numeric value (inclusive, in ``unit``); ``None`` means no bound.
    ``required`` says that null is refused; otherwise null means "not known".
    ``usual_minimum`` and ``usual_maximum`` bound what the model has learned from: a number outside of them is
    answered and flagged. ``known`` are the texts that the model tells apart; without any it is not told which.
    """

    name: str
    kind: Kind
    description: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    required: bool = False
    example: float | str | None = None
    usual_minimum: float | None = None
    usual_maximum: float | None = None
    known: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Column:
        return cls(**{**document, "known": tuple(document.get("known", ()))})


@dataclass(frozen=True, slots=True)
class RowError:
    """Why one value of one row was refused. ``row`` counts from 0; ``code`` is stable."""

    row: int
    column: str
    code: str
    message: str


class RowsInvalid(ValueError):
    """The rows do not fit the schema; ``errors`` has every reason, in row order."""

    def __init__(self, errors: Sequence[RowError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"row {e.row}, {e.column}: {e.message}" for e in self.errors[:5]))


def read_values(column: Column, values: Values, errors: list[RowError]) -> npt.NDArray[Any]:
    """The values of one column for n rows, as the ONNX graph takes them: (n, 1) float64 or object of str.

    ``values`` are JSON values with None for "not known", or an array: float64 with NaN, or object of str with ""
    for "not known". For each bad value one error is added to ``errors``; the row of the array is then meaningless.
    """
    if len(values) > FEW or isinstance(values, np.ndarray):
        quick = _all_numbers(column, values) if column.kind == "numeric" else _all_texts(column, values)
        if quick is not None:
            return quick.reshape(-1, 1)
    if isinstance(values, np.ndarray):
        values = [None if value != value else value for value in values.reshape(-1).tolist()]  # noqa: PLR0124 NaN
    read = read_number if column.kind == "numeric" else read_text
    dtype = np.float64 if column.kind == "numeric" else object
    checked = [read(column, row, value, errors) for row, value in enumerate(values)]
    return np.array(checked, dtype=dtype).reshape(-1, 1)


def _all_numbers(column: Column, values: Values) -> npt.NDArray[np.float64] | None:
    """The numbers, when all of them are good; None when somebody has to look at each."""
    numbers = _as_float64(values)
    if numbers is None:
        return None
    missing = np.isnan(numbers)
    low = -np.inf if column.minimum is None else column.minimum
    high = np.inf if column.maximum is None else column.maximum
    good = np.isfinite(numbers) & (numbers >= low) & (numbers <= high) | (missing & (not column.required))
    return numbers if good.all() else None


def _as_float64(values: Values) -> npt.NDArray[np.float64] | None:
    if isinstance(values, np.ndarray):
        return values.reshape(-1).astype(np.float64, copy=False) if values.dtype.kind in "fiu" else None
    if not set(map(type, values)) <= {int, float, NoneType}:
        return None
    try:
        numbers = np.array(values, np.float64)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return numbers if np.isnan(numbers).sum() == values.count(None) else None


def _all_texts(column: Column, values: Values) -> npt.NDArray[Any] | None:
    """The texts, when all of them are good; None when somebody has to look at each."""
    texts = values.reshape(-1).tolist() if isinstance(values, np.ndarray) else values
    kinds = set(map(type, texts))
    if not kinds <= {str, NoneType} or (column.required and NoneType in kinds):
        return None
    if NoneType in kinds:
        texts = ["" if text is None else text for text in texts]
    together = "".join(texts)
    good = max(map(len, texts), default=0) <= MAX_TEXT and "\0" not in together and _encodable(together)
    return np.array(texts, dtype=object) if good else None


def read_number(column: Column, row: int, value: Any, errors: list[RowError]) -> float:
    if value is None:
        return _missing(column, row, errors, math.nan)
    if isinstance(value, bool) or not isinstance(value, int | float):
        errors.append(RowError(row, column.name, "not_a_number", "must be a number or null"))
        return math.nan
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        errors.append(RowError(row, column.name, "not_finite", "must be a finite number"))
    elif (column.minimum is not None and number < column.minimum) or (
        column.maximum is not None and number > column.maximum
    ):
        errors.append(RowError(row, column.name, "out_of_range", f"must be {describe_range(column)}"))
    return number


def read_text(column: Column, row: int, value: Any, errors: list[RowError]) -> str:
    if value is None:
        return _missing(column, row, errors, "")
    if not isinstance(value, str):
        errors.append(RowError(row, column.name, "not_text", "must be text or null"))
        return ""
    if len(value) > MAX_TEXT:
        errors.append(RowError(row, column.name, "too_long", f"must be at most {MAX_TEXT} characters"))
        return ""
    if "\0" in value or not _encodable(value):
        errors.append(RowError(row, column.name, "not_text", "must be valid Unicode text without NUL"))
        return ""
    return value


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _missing(column: Column, row: int, errors: list[RowError], missing: Any) -> Any:
    if column.required:
        errors.append(RowError(row, column.name, "required", "must be given"))
    return missing


def describe_range(column: Column) -> str:
    """The allowed range in words, such as ``between 0 and 400000 miles``."""
    unit = f" {column.unit}" if column.unit else ""
    low, high = column.minimum, column.maximum
    if low is not None and high is not None:
        return f"between {low:.12g} and {high:.12g}{unit}"
    if low is not None:
        return f"at least {low:.12g}{unit}"
    return f"at most {high:.12g}{unit}" if high is not None else "any finite number"
