"""Groups of rows by the values of some columns: a plain look-up table, so that the ONNX graph can hold the same.

Not here: what is learned of a group (``pipeline/peer_statistics.py``, ``pipeline/group_effects.py``), the graph
(``pipeline/onnx_groups.py``).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Group = tuple[int, ...]


class GroupTable:
    """Rows of integer-valued columns to the number of their group, and by it to a row of ``table_``.

    Attributes:
        sizes_: number of codes of each column, one for "unseen" included.
        keys_: int64 (g,), sorted: the groups seen, the columns' codes combined into one number.
        table_: float64 (g + 1, m): what is known of each group; row 0 is for a group that was not seen.
    """

    def __init__(self, values: Floats) -> None:
        codes = _codes(values)
        self.sizes_ = [int(size) for size in codes.max(axis=0, initial=0) + 1]
        self.keys_ = np.unique(self._combine(codes))
        self.table_ = np.zeros((len(self.keys_) + 1, 1))

    def rows(self, values: Floats) -> Integers:
        """The table's row for each row of values (n, columns)."""
        combined = self._combine(_codes(values))
        position = np.minimum(np.searchsorted(self.keys_, combined), len(self.keys_) - 1)
        return np.where(self.keys_[position] == combined, position + 1, 0)

    def look_up(self, values: Floats) -> Floats:
        """What is known of each row's group: (n, m)."""
        return np.asarray(self.table_[self.rows(values)])

    def _combine(self, codes: Integers) -> Integers:
        known = np.where((codes >= 0) & (codes < np.array(self.sizes_)), codes, 0)
        combined = known[:, 0]
        for i, size in enumerate(self.sizes_[1:], start=1):
            combined = combined * size + known[:, i]
        return combined


def _codes(values: Floats) -> Integers:
    """Integers from 0; 0 is for "not known" (NaN)."""
    return np.where(np.isnan(values), -1.0, values).astype(np.int64) + 1
