"""The dirt of the simulated auction: gaps, marks, slips of the keyboard, about as often as in real sales."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Mask = npt.NDArray[np.bool_]

NOT_GIVEN = "\N{EM DASH}"
# column: part of the rows where it is missing / where it is a dash
MISSING = {"transmission": 0.135, "color": 0.0013, "interior": 0.0013, "odometer": 0.0001}
DASHES = {"color": 0.044, "interior": 0.021}
UNKNOWN_CAR, LOWER_CASE_MAKE, STRAY_BLANK, LOWER_CASE_TRIM, TWO_BLANKS = 0.02, 0.005, 0.003, 0.003, 0.03
ODOMETER_ONE, ODOMETER_NINES, PRICE_SLIP = 0.0018, 0.0002, 0.0012
SLIPS = (10.0, 0.1, 0.01)  # a nought too many, or one or two too few


def with_dirt(rng: np.random.Generator, frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows with dirt in them. Missing text is None, a missing number NaN."""

    def some(part: float) -> Mask:
        return rng.random(len(frame)) < part

    columns: dict[str, Any] = {str(name): frame[name].to_numpy(copy=True) for name in frame.columns}
    _spell(columns, some)
    columns["odometer"][some(ODOMETER_ONE)] = 1
    columns["odometer"][some(ODOMETER_NINES)] = 999_999
    slips = some(PRICE_SLIP)
    price = columns["sellingprice"][slips] * rng.choice(SLIPS, int(slips.sum()))
    columns["sellingprice"][slips] = np.maximum(1, price).astype(np.int64)
    for name, part in DASHES.items():
        columns[name][some(part)] = NOT_GIVEN
    unknown = some(UNKNOWN_CAR)
    for name in ("make", "model", "trim", "body"):
        columns[name][unknown] = None
    for name, part in MISSING.items():
        columns[name][some(part)] = np.nan if columns[name].dtype.kind == "f" else None
    return pd.DataFrame(columns)


def _spell(columns: dict[str, Any], some: Callable[[float], Mask]) -> None:
    """The same word in another case, blanks at its end or two in a row. Half of the bodies are in lower case."""
    for name, part, other in (
        ("body", 0.5, str.lower),
        ("make", LOWER_CASE_MAKE, str.lower),
        ("trim", STRAY_BLANK, "{} ".format),
        ("trim", LOWER_CASE_TRIM, str.lower),
        ("seller", TWO_BLANKS, _two_blanks),
    ):
        chosen = some(part)
        columns[name][chosen] = [other(word) for word in columns[name][chosen]]


def _two_blanks(text: str) -> str:
    return text.replace(" ", "  ", 1)
