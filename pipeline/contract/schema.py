"""What a model takes and gives: its columns, and rows of JSON values to arrays.

Not here: what one column may hold (``column.py``), which columns a problem has (``pipeline/datasets``), or how a
request arrives (``serving``).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy.typing as npt

from pipeline.contract.column import MAX_TEXT, Column, Kind, RowError, RowsInvalid, Values, describe_range, read_values

__all__ = ["MAX_TEXT", "Column", "Kind", "RowError", "RowsInvalid", "Schema", "describe_range"]

Arrays = dict[str, npt.NDArray[Any]]

MAX_NAME = 64  # of an unknown column: how much of its name is repeated
MAX_HINTS = 20  # of one row, and of one request with the nearest name; a hostile one can have 100,000 unknown names


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
            inputs=tuple(Column.from_dict(column) for column in document["inputs"]),
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
        arrays, errors = self.read_rows(rows)
        if errors:
            raise RowsInvalid(errors)
        return arrays

    def read_rows(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Arrays, list[RowError]]:
        """As ``arrays``, with the errors beside: a row that has none of them is good."""
        errors = self._unknown_fields(rows)
        values = [[row.get(column.name) for row in rows] for column in self.inputs]
        return self._read(values, errors)

    def read_columns(self, columns: Mapping[str, Values], count: int) -> tuple[Arrays, list[RowError]]:
        """Columns of ``count`` values each to arrays, as ``read_rows``. One left out is not known in any row.

        A column that the schema does not have is an error of row 0.
        """
        errors = self._unknown_fields([dict.fromkeys(columns)])
        values = [columns.get(column.name, [None] * count) for column in self.inputs]
        return self._read(values, errors)

    def _read(self, values: Sequence[Values], errors: list[RowError]) -> tuple[Arrays, list[RowError]]:
        arrays = {
            column.name: read_values(column, found, errors) for column, found in zip(self.inputs, values, strict=True)
        }
        return arrays, sorted(errors, key=lambda error: error.row)

    def _unknown_fields(self, rows: Sequence[Mapping[str, Any]]) -> list[RowError]:
        unknown = [(index, name) for index, row in enumerate(rows) for name in self._unknown_names(row)]
        some = list(dict.fromkeys(name for _, name in unknown))[:MAX_HINTS]
        messages = {name: self._unknown_message(name[:MAX_NAME]) for name in some}
        plain = "there is no such column"
        return [
            RowError(index, name[:MAX_NAME], "unknown_column", messages.get(name, plain)) for index, name in unknown
        ]

    def _unknown_names(self, row: Mapping[str, Any]) -> list[str]:
        return [] if row.keys() <= self._names else [name for name in row if name not in self._names][:MAX_HINTS]

    def _unknown_message(self, name: str) -> str:
        near = difflib.get_close_matches(name, sorted(self._names), n=1, cutoff=0.6)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known columns: {', '.join(sorted(self._names))}"
        return f"there is no such column{hint}"
