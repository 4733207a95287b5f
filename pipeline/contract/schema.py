"""What a model takes and gives: columns with kind, unit and range; rows of JSON values to arrays.

Not here: which columns a problem has (``pipeline/datasets``), or how a request arrives (``serving``).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["numeric", "categorical"]
Arrays = dict[str, npt.NDArray[Any]]

MAX_TEXT = 200
MAX_NAME = 64  # of an unknown column: how much of its name is repeated
MAX_HINTS = 20  # looking for the nearest name is slow; a hostile request can have 100,000 unknown names


@dataclass(frozen=True, slots=True)
class Column:
    """One input column of a model.

    ``minimum`` and ``maximum`` bound a numeric value (inclusive, in ``unit``); ``None`` means no bound.
    ``required`` says that null is refused; otherwise null means "not known".
    """

    name: str
    kind: Kind
    description: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    required: bool = False
    example: float | str | None = None


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


@dataclass(frozen=True, slots=True)
class Schema:
    """The inputs of a model and the unit of its answers ``price``, ``low``, ``high``.

    The answers' names are in ``outputs``; all share ``output_unit``.
    """

    inputs: tuple[Column, ...]
    output_unit: str
    outputs: tuple[str, ...] = ("price", "low", "high")
    _names: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", frozenset(column.name for column in self.inputs))

    def to_dict(self) -> dict[str, Any]:
        return {
            "inputs": [asdict(column) for column in self.inputs],
            "outputs": list(self.outputs),
            "output_unit": self.output_unit,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Schema:
        return cls(
            inputs=tuple(Column(**column) for column in document["inputs"]),
            output_unit=document["output_unit"],
            outputs=tuple(document["outputs"]),
        )

    def arrays(self, rows: Sequence[Mapping[str, Any]]) -> Arrays:
        """Rows of JSON values to one array a column, as the ONNX graph takes them.

        Returns arrays of shape (n, 1): float64 with NaN for null (numeric), object of str with "" for
        null (categorical). A column left out of a row counts as null.

        Raises:
            RowsInvalid: with one error for each bad value.
        """
        errors = self._unknown_fields(rows)
        arrays: Arrays = {}
        for column in self.inputs:
            read = _number if column.kind == "numeric" else _text
            values = [read(column, index, row.get(column.name), errors) for index, row in enumerate(rows)]
            dtype = np.float64 if column.kind == "numeric" else object
            arrays[column.name] = np.array(values, dtype=dtype).reshape(-1, 1)
        if errors:
            raise RowsInvalid(sorted(errors, key=lambda error: error.row))
        return arrays

    def _unknown_fields(self, rows: Sequence[Mapping[str, Any]]) -> list[RowError]:
        unknown = [(index, name) for index, row in enumerate(rows) for name in row if name not in self._names]
        some = list(dict.fromkeys(name for _, name in unknown))[:MAX_HINTS]
        messages = {name: self._unknown_message(name[:MAX_NAME]) for name in some}
        plain = "there is no such column"
        return [
            RowError(index, name[:MAX_NAME], "unknown_column", messages.get(name, plain)) for index, name in unknown
        ]

    def _unknown_message(self, name: str) -> str:
        near = difflib.get_close_matches(name, sorted(self._names), n=1, cutoff=0.6)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known columns: {', '.join(sorted(self._names))}"
        return f"there is no such column{hint}"


def _number(column: Column, row: int, value: Any, errors: list[RowError]) -> float:
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


def _text(column: Column, row: int, value: Any, errors: list[RowError]) -> str:
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
