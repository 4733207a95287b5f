"""Does the answer stand in the question? A column, or the model, that is too good to be true.

Not here: whether the model is good enough (``quality.py``).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.checks.case import Case, Duel
from pipeline.checks.drift import plain
from pipeline.contract.certificate import Check
from pipeline.metrics import ACTUAL, BASELINE, PRICE, REFERENCE

GROUP = "data"
MOST_CORRELATION = 0.999  # the best column of real auctions, a professional estimate, has 0.984
LEAST_ERROR = 0.2  # of the better of guess and champion; real days have 0.78
LEAST_ROWS = 20


def leakage(case: Case, duel: Duel | str) -> tuple[Check, ...]:
    return _columns(case), _error(case, duel)


def _columns(case: Case) -> Check:
    """The rank correlation of each column alone with the target on the newest days.

    A text counts as the mean target of its rows on the days before.
    """
    older, name = case.older, "column that tells the target"
    found = [
        (_correlation(_score(case, older, column.name, column.kind), case.test[ACTUAL]), column.name)
        for column in case.candidate.manifest.schema.inputs
        if column.name in case.test and column.name in older
    ]
    figure, column = max(found, default=(0.0, "none"))
    passed = figure <= MOST_CORRELATION
    text = f"`{column}` alone has the rank correlation {figure:.4f} with the target on the newest days"
    return Check(GROUP, name, figure, MOST_CORRELATION, passed, text + ("" if passed else ": it gives the answer away"))


def _score(case: Case, older: pd.DataFrame, name: str, kind: str) -> pd.Series:
    if kind == "numeric":
        return case.test[name].astype(np.float64)
    means = older.groupby(plain(older[name]))[case.target].mean()
    return plain(case.test[name]).map(means)


def _correlation(score: pd.Series, actual: pd.Series) -> float:
    known = score.notna() & actual.notna()
    score, actual = score[known], actual[known]
    if len(score) < LEAST_ROWS or any(each.min() == each.max() for each in (score, actual)):
        return 0.0
    return float(abs(score.rank().corr(actual.rank())))


def _error(case: Case, duel: Duel | str) -> Check:
    """The held-out error beside the best that was known before."""
    test, name = case.test, "error too small to be true"
    guess = BASELINE if test[BASELINE].notna().any() else REFERENCE
    known = test[test[guess].notna() & test[ACTUAL].notna()]
    ratios = [_ratio((known[PRICE] - known[ACTUAL]).abs().mean(), (known[guess] - known[ACTUAL]).abs().mean())]
    if isinstance(duel, Duel):
        ratios.append(_ratio(duel.ours.mean(), duel.theirs.mean()))
    figure = max(ratios)
    passed = figure >= LEAST_ERROR
    others = f"the {guess}" + (" and the champion" if isinstance(duel, Duel) else "")
    text = (
        f"its mean error is {figure:.2f} of that of the better of {others}"
        if len(ratios) > 1
        else f"its mean error is {figure:.2f} of that of {others}"
    )
    return Check(GROUP, name, figure, LEAST_ERROR, passed, text + ("" if passed else ": it must have seen the answers"))


def _ratio(ours: float, theirs: float) -> float:
    return float(ours / theirs) if theirs > 0 else 1.0
