"""The learned parts of the ColumnTransformers: text to codes, and groups of codes to target statistics.

Both are plain look-up tables once fitted, so that the ONNX graph (``pipeline/conversion.py``) can hold
exactly the same. Not here: which columns there are (``pipeline/datasets``).
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import KFold

Floats = npt.NDArray[np.float64]


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
        columns = range(X.shape[1])
        self.lookups_ = [_spellings(X.iloc[:, i], frozenset(self.missing[i])) for i in columns]
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
    lookup = {mark: codes[""] for mark in missing}
    for text in texts:
        lookup |= dict.fromkeys((text, text.upper(), text.title(), text.capitalize()), codes[text])
    return lookup | {spelling: codes[text] for spelling, text in seen.items()}


class GroupEncoder(TransformerMixin, BaseEstimator):
    """Groups of integer columns to statistics of the target, learned per group.

    Each group's mean is shrunk towards the mean of all by ``smoothing`` rows' worth of it (m-estimate;
    Micci-Barreca, SIGKDD Explorations 3(1), 2001). ``fit_transform`` gives cross-fitted values: each row's
    own target never enters its encoding. A group that was not seen gets NaN and the count 0.

    Attributes:
        sizes_: number of codes of each column, one for "unseen" included.
        keys_: int64 (g,), sorted: the groups seen, the columns' codes combined into one number.
        table_: float64 (g + 1, 2): mean and count; row 0 is for a group that was not seen.
    """

    def __init__(self, smoothing: float = 10.0, folds: int = 5, seed: int = 7) -> None:
        self.smoothing = smoothing
        self.folds = folds
        self.seed = seed

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> Self:
        values = _codes(X)
        self.sizes_ = [int(size) for size in values.max(axis=0, initial=0) + 1]
        weight = np.ones(len(values)) if sample_weight is None else sample_weight
        self.keys_, self.table_ = self._learn(self._combine(values), np.asarray(y, np.float64), weight)
        self.n_features_in_ = values.shape[1]
        return self

    def fit_transform(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> Floats:
        self.fit(X, y, sample_weight)
        keys = self._combine(_codes(X))
        target = np.asarray(y, np.float64)
        weight = np.ones(len(keys)) if sample_weight is None else sample_weight
        out = np.empty((len(keys), self.table_.shape[1]))
        folds = KFold(self.folds, shuffle=True, random_state=self.seed)
        for rest, part in folds.split(keys):
            known, table = self._learn(keys[rest], target[rest], weight[rest])
            out[part] = table[_rows(known, keys[part])]
        return out

    def transform(self, X: Floats) -> Floats:
        """Statistics of shape (n, 2) for integer-valued X of shape (n, columns)."""
        return np.asarray(self.table_[_rows(self.keys_, self._combine(_codes(X)))])

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        name = "_".join(str(column) for column in input_features)
        return np.array([f"{name}_mean", f"{name}_count"], dtype=object)

    def _combine(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        known = np.where((values >= 0) & (values < np.array(self.sizes_)), values, 0)
        combined = known[:, 0]
        for i, size in enumerate(self.sizes_[1:], start=1):
            combined = combined * size + known[:, i]
        return combined

    def _learn(
        self, keys: npt.NDArray[np.int64], target: Floats, weight: Floats
    ) -> tuple[npt.NDArray[np.int64], Floats]:
        known, group = np.unique(keys, return_inverse=True)
        count = np.bincount(group, weight)
        prior = np.average(target, weights=weight)
        mean = (np.bincount(group, weight * target) + self.smoothing * prior) / (count + self.smoothing)
        return known, np.vstack([[np.nan, 0.0], np.column_stack([mean, np.bincount(group)])])


def _codes(X: Floats) -> npt.NDArray[np.int64]:
    """Integer values from 0; 0 is for "not known" (NaN)."""
    values = np.asarray(X, np.float64)
    return np.where(np.isnan(values), -1.0, values).astype(np.int64) + 1


def _rows(known: npt.NDArray[np.int64], keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    position = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[position] == keys, position + 1, 0)
