"""The learned parts of the ColumnTransformers: text to codes, and what groups of rows tell about a row.

All are plain look-up tables once fitted, so that the ONNX graph (``pipeline/onnx_columns.py``) can hold exactly
the same. Not here: which columns there are (``pipeline/datasets``).
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.model_selection import KFold

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Group = tuple[int, ...]

EFFECTS = "all_effects"


def fold(text: str, missing: frozenset[str]) -> str:
    """The canonical form of a text: inner blanks single, outer blanks and case gone, "not known" as ""."""
    canonical = " ".join(text.split()).lower()
    return "" if canonical in missing else canonical


class CategoryCodes(TransformerMixin, BaseEstimator):
    """Text columns to integer codes.

    Spellings that differ in case or blanks share a code; so do all that stand for "not known". Each canonical
    text is also known in its lower, upper, title and capitalised spelling, seen or not; any other unseen
    text gets code 0.

    Parameters:
        missing: for each column the texts that stand for "not known", beside "".

    Attributes:
        lookups_: for each column the code (from 1) of each spelling.
    """

    def __init__(self, missing: tuple[tuple[str, ...], ...]) -> None:
        self.missing = missing

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:  # noqa: ARG002  sklearn's signature
        self.lookups_ = [_spellings(X.iloc[:, i], frozenset(self.missing[i])) for i in range(X.shape[1])]
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> Floats:
        """Codes of shape (n, columns) for a frame of str."""
        codes = [X.iloc[:, i].map(lookup).fillna(0.0) for i, lookup in enumerate(self.lookups_)]
        return np.column_stack([code.to_numpy(np.float64) for code in codes])

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        return np.asarray(input_features, dtype=object)


def _spellings(column: pd.Series, missing: frozenset[str]) -> dict[str, int]:
    folded_missing = frozenset(fold(mark, frozenset()) for mark in missing)
    seen = {str(text): fold(str(text), folded_missing) for text in column.unique()}
    texts = sorted({"", *seen.values()})
    codes = {text: code for code, text in enumerate(texts, start=1)}
    lookup = dict.fromkeys(missing, codes[""])
    for text in texts:
        lookup |= dict.fromkeys((text, text.upper(), text.title(), text.capitalize()), codes[text])
    return lookup | {spelling: codes[text] for spelling, text in seen.items()}


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


class GroupEffects(TransformerMixin, BaseEstimator):
    """What being in a group adds to the target: one additive effect for each of ``groups``, and the sum of all.

    The effects are fitted together by backfitting (Breiman and Friedman, JASA 80(391), 1985), each shrunk
    towards 0 by ``smoothing`` rows' worth of it. ``fit_transform`` gives cross-fitted values: each row's own
    target never enters its effects, other than through ``first``. A group that was not seen has the effect 0.

    Parameters:
        groups: groups of columns of X.
        first: None, or a regressor that explains the target by the columns ``first_columns`` of X beforehand, so
            that the effects are of what is left. It is needed for fitting only, and is fitted once, on all rows.
        clip: what is left to explain counts as at most this much.

    Attributes:
        center_: the mean of what is left to explain.
        tables_: one ``GroupTable`` for each of ``groups``, with the effect as its single column.
    """

    def __init__(
        self,
        groups: tuple[Group, ...],
        first: Any = None,
        first_columns: Group = (),
        smoothing: float = 10.0,
        clip: float = np.inf,
        passes: int = 3,
        folds: int = 5,
        seed: int = 7,
    ) -> None:
        self.groups = groups
        self.first = first
        self.first_columns = first_columns
        self.smoothing = smoothing
        self.clip = clip
        self.passes = passes
        self.folds = folds
        self.seed = seed

    def fit(self, X: Floats, y: Floats) -> Self:
        self._learn(X, y)
        return self

    def transform(self, X: Floats) -> Floats:
        """Effects, and the sum of them and ``center_``: (n, groups + 1)."""
        pairs = zip(self.tables_, self.groups, strict=True)
        return _with_sum([table.look_up(X[:, list(group)])[:, 0] for table, group in pairs], self.center_)

    def fit_transform(self, X: Floats, y: Floats) -> Floats:
        rows, left = self._learn(X, y)
        out = np.empty((len(X), len(self.groups) + 1))
        for rest, part in _folds(self, len(X)):
            center, effects = self._backfit([row[rest] for row in rows], left[rest])
            out[part] = _with_sum([effect[row[part]] for effect, row in zip(effects, rows, strict=True)], center)
        return out

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        names = ["_".join(str(input_features[column]) for column in group) for group in self.groups]
        return np.array([*(f"{name}_effect" for name in names), EFFECTS], dtype=object)

    def _learn(self, X: Floats, y: Floats) -> tuple[list[Integers], Floats]:
        """Fit on all rows; returns each group's table row of each row, and what is left of the target to explain."""
        self.tables_ = [GroupTable(X[:, list(group)]) for group in self.groups]
        left = np.asarray(y, np.float64) - self._first_guess(X, y)
        rows = [table.rows(X[:, list(group)]) for table, group in zip(self.tables_, self.groups, strict=True)]
        self.center_, effects = self._backfit(rows, left)
        for table, effect in zip(self.tables_, effects, strict=True):
            table.table_ = effect.reshape(-1, 1)
        self.n_features_in_ = X.shape[1]
        return rows, left

    def _first_guess(self, X: Floats, y: Floats) -> Floats:
        if self.first is None:
            return np.zeros(len(X))
        known = X[:, list(self.first_columns)]
        return np.asarray(clone(self.first).fit(known, y).predict(known))

    def _backfit(self, rows: list[Integers], target: Floats) -> tuple[float, list[Floats]]:
        """The mean of the target, and the effect of each group on what is above or below it."""
        center = float(np.mean(target))
        sizes = [len(table.table_) for table in self.tables_]
        counts = [np.bincount(row, minlength=size) + self.smoothing for row, size in zip(rows, sizes, strict=True)]
        effects = [np.zeros(size) for size in sizes]
        left = np.clip(target - center, -self.clip, self.clip)
        for _ in range(self.passes):
            for i, row in enumerate(rows):
                left += effects[i][row]
                effects[i] = np.bincount(row, left, sizes[i]) / counts[i]
                left -= effects[i][row]
        return center, effects


def _with_sum(effects: list[Floats], center: float) -> Floats:
    """Added from left to right: the graph adds in the same order, so the sums are equal to the last bit."""
    total = np.full(len(effects[0]), center)
    for effect in effects:
        total = total + effect
    return np.column_stack([*effects, total])


def _folds(model: GroupEffects, rows: int) -> Any:
    return KFold(min(model.folds, rows), shuffle=True, random_state=model.seed).split(np.arange(rows))
