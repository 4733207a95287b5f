"""What being in a group adds to the price: target encoding of several groups at once.

Not here: which groups (``pipeline/datasets``), how a row's group is found (``pipeline/group_table.py``), the same as
a graph (``pipeline/onnx_columns.py``).
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.model_selection import KFold

from pipeline.group_table import Floats, Group, GroupTable, Integers

EFFECTS = "all_effects"


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
