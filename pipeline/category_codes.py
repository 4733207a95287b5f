"""Text to integer codes: a plain look-up table once fitted, so that the ONNX graph can hold exactly the same.

Not here: which texts stand for "not known" (``pipeline/datasets``), the graph (``pipeline/onnx_columns.py``).
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

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
