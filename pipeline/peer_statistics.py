"""What is usual among a row's peers, beside its own numbers.

Not here: who the peers are (``pipeline/datasets``), how they are found (``pipeline/group_table.py``), the same as a
graph (``pipeline/onnx_columns.py``).
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

from pipeline.group_table import Floats, Group, GroupTable, Integers


class PeerStatistics(TransformerMixin, BaseEstimator):
    """What is usual among a row's peers, such as cars of one make, model and year, or of one seller.

    For each chain of groups, from coarse to fine: the mean of each number in the finest group, each number
    divided by that mean, and the number of rows in the group. A mean is shrunk towards that of the next
    coarser group by ``smoothing`` rows' worth of it (m-estimate; Micci-Barreca, SIGKDD Explorations 3(1), 2001);
    a row whose fine group was not seen is held against the coarser. ``fit_transform`` leaves each row itself out.

    Parameters:
        columns: the columns of X with the numbers.
        chains: chains of groups of columns of X.

    Attributes:
        overall_: float64 (columns,): the mean of all rows.
        tables_: for each chain one ``GroupTable`` for each of its groups: the means (NaN in the row for an unseen
            group), then the number of rows.
    """

    def __init__(self, columns: Group, chains: tuple[tuple[Group, ...], ...], smoothing: float = 2.0) -> None:
        self.columns = columns
        self.chains = chains
        self.smoothing = smoothing

    def fit(self, X: Floats, y: Any = None) -> Self:
        self.fit_transform(X, y)
        return self

    def transform(self, X: Floats) -> Floats:
        """Means, ratios and count for each chain: (n, chains * (2 * columns + 1)); NaN ratios of unknown numbers."""
        values = X[:, list(self.columns)]
        blocks = []
        for chain, tables in zip(self.chains, self.tables_, strict=True):
            means = np.broadcast_to(self.overall_, values.shape)
            for group, table in zip(chain, tables, strict=True):
                found = table.look_up(X[:, list(group)])
                means = np.where(np.isnan(found[:, :-1]), means, found[:, :-1])
            blocks += [means, values / means, found[:, -1:]]
        return np.hstack(blocks)

    def fit_transform(self, X: Floats, y: Any = None) -> Floats:  # noqa: ARG002  sklearn's signature
        values = X[:, list(self.columns)]
        everyone = np.zeros(len(X), np.int64)
        overall = _Sums(everyone, 1, values)
        self.overall_ = overall.means(np.ones((1, values.shape[1])), 0.0)[0]
        without = overall.means_without(everyone, np.ones(values.shape), 0.0)
        self.tables_ = []
        blocks = []
        for chain in self.chains:
            tables, means, count = self._learn(chain, X, values, without)
            self.tables_.append(tables)
            blocks += [means, values / means, count]
        self.n_features_in_ = X.shape[1]
        return np.hstack(blocks)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        numbers = [str(input_features[column]) for column in self.columns]
        names: list[str] = []
        for chain in self.chains:
            peers = "_".join(str(input_features[column]) for column in chain[-1])
            names += [f"{number}_of_{peers}" for number in numbers]
            names += [f"{number}_to_{peers}" for number in numbers]
            names.append(f"rows_of_{peers}")
        return np.array(names, dtype=object)

    def _learn(
        self, chain: tuple[Group, ...], X: Floats, values: Floats, without: Floats
    ) -> tuple[list[GroupTable], Floats, Floats]:
        """The tables of a chain; and for each row of X the finest means and count without the row itself."""
        prior = np.broadcast_to(self.overall_, values.shape)
        tables = []
        for group in chain:
            table = GroupTable(X[:, list(group)])
            rows = table.rows(X[:, list(group)])
            sums = _Sums(rows, len(table.table_), values)
            towards = np.full((len(table.table_), values.shape[1]), np.nan)
            towards[rows] = prior  # all rows of a group have the same coarser group
            means = sums.means(towards, self.smoothing)
            without = sums.means_without(rows, without, self.smoothing)
            table.table_ = np.column_stack([means, sums.rows])
            prior = means[rows]
            tables.append(table)
        return tables, without, sums.rows[rows].reshape(-1, 1) - 1.0


class _Sums:
    """Sums of known values by group, from which means with and without a row follow.

    A mean of 0 says nothing relative to it: the mean of the coarser group stands in for it.
    """

    def __init__(self, rows: Integers, size: int, values: Floats) -> None:
        self.known = ~np.isnan(values)
        self.filled = np.where(self.known, values, 0.0)
        columns = range(values.shape[1])
        self.total = np.column_stack([np.bincount(rows, self.filled[:, c], size) for c in columns]).astype(np.float64)
        self.count = np.column_stack([np.bincount(rows, self.known[:, c], size) for c in columns]).astype(np.float64)
        self.rows = np.bincount(rows, minlength=size).astype(np.float64)

    def means(self, towards: Floats, smoothing: float) -> Floats:
        """Shrunk means (groups, columns); NaN for a group without rows."""
        return _shrunk(self.total, self.count, towards, smoothing)

    def means_without(self, rows: Integers, towards: Floats, smoothing: float) -> Floats:
        """For each row the shrunk means of its group as if the row were not there."""
        total, count = self.total[rows] - self.filled, self.count[rows] - self.known
        return _shrunk(np.where(count == 0, 0.0, total), count, towards, smoothing)


def _shrunk(total: Floats, count: Floats, towards: Floats, smoothing: float) -> Floats:
    weight = count + smoothing
    mean = (total + smoothing * towards) / np.where(weight == 0, 1.0, weight)
    return np.where((mean == 0) | (weight == 0), towards, mean)
