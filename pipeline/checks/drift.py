"""Have the values of the newest days another distribution than those before? Inputs and target, column by column.

Not here: whether the model suffers from it (``quality.py``): drift alone refuses only what can be no market.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.checks.case import Case
from pipeline.contract.certificate import Check

Floats = npt.NDArray[np.float64]

GROUP = "data"
BINS, CATEGORIES = 10, 20
MISSING = -1  # the last bin
# Told above the first, refused above the second. Over 70 real days no number went above 0.065 and no text above 0.67
# (the states where auctions are held on Fridays). A number on another scale has 0.75, a text that is lost 1.
NUMBERS, TEXTS = (0.1, 0.5), (0.7, 0.9)


def drift(case: Case) -> tuple[Check, ...]:
    """One check for the inputs together, which names the farthest, and one for the target."""
    columns = [column for column in case.candidate.manifest.schema.inputs if column.name in case.rows]
    older, newer = case.older, case.test
    if older.empty:
        return (Check(GROUP, "drift", None, None, True, "there are no days before the newest to compare with"),)
    found = [
        (_distance(older, newer, c.name, c.kind), TEXTS if c.kind == "categorical" else NUMBERS, c.name)
        for c in columns
    ]
    farthest = max(found, key=lambda each: each[0] / each[1][1])
    target = (_distance(older, newer, case.target, "numeric"), NUMBERS, case.target)
    return _check("drift of inputs", farthest, "the farthest column"), _check(
        "drift of the target", target, "the target"
    )


def _check(name: str, found: tuple[float, tuple[float, float], str], what: str) -> Check:
    figure, (told, refused), column = found
    text = f"{what}, `{column}`, is {figure:.3f} from the days before (told above {told:g}, refused above {refused:g})"
    return Check(GROUP, name, figure, refused, figure <= refused, text, told < figure <= refused)


def _distance(older: pd.DataFrame, newer: pd.DataFrame, name: str, kind: str) -> float:
    counts = _numbers if kind == "numeric" else _texts
    before, now = counts(older[name], newer[name])
    lost = now[MISSING] == now.sum() and before[MISSING] < before.sum()
    return 1.0 if lost else divergence(before, now)


def divergence(before: Floats, now: Floats) -> float:
    """The Jensen-Shannon divergence of two histograms with the same bins: 0 the same, 1 nothing in common.

    J. Lin, "Divergence Measures Based on the Shannon Entropy", IEEE Transactions on Information Theory 37, 1991.
    Unlike the population stability index it is bounded, and an empty bin is no trouble.
    """
    p, q = before / before.sum(), now / now.sum()
    middle = (p + q) / 2
    return float((_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2)


def _relative_entropy(p: Floats, m: Floats) -> float:
    there = p > 0
    return float(np.sum(p[there] * np.log2(p[there] / m[there])))


def _numbers(older: pd.Series, newer: pd.Series) -> tuple[Floats, Floats]:
    """Tenths of the older values, and those that are missing."""
    known = older.to_numpy(np.float64, na_value=np.nan)
    known = known[np.isfinite(known)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.array([])
    return _histogram(older, edges), _histogram(newer, edges)


def _histogram(values: pd.Series, edges: Floats) -> Floats:
    numbers = values.to_numpy(np.float64, na_value=np.nan)
    bins = np.where(np.isnan(numbers), len(edges) + 1, np.searchsorted(edges, numbers, side="right"))
    return np.bincount(bins, minlength=len(edges) + 2).astype(np.float64)


def _texts(older: pd.Series, newer: pd.Series) -> tuple[Floats, Floats]:
    """The most frequent of the older texts, the others of them, those never seen there, and those that are missing."""
    before, now = plain(older), plain(newer)
    counts = before[before != ""].value_counts()
    bins = {text: index for index, text in enumerate(counts.index[:CATEGORIES])}
    others = dict.fromkeys(counts.index[CATEGORIES:], CATEGORIES)
    places = {**bins, **others, "": CATEGORIES + 2}

    def histogram(values: pd.Series) -> Floats:
        found = values.map(places).fillna(CATEGORIES + 1).to_numpy(np.int64)
        return np.bincount(found, minlength=CATEGORIES + 3).astype(np.float64)

    return histogram(before), histogram(now)


def plain(values: pd.Series) -> pd.Series:
    """Texts as they are told apart: without blanks around them, in small letters; "" is missing."""
    return values.fillna("").astype(str).str.strip().str.lower()
