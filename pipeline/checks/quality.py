"""Are the answers good? Against guess and champion on the same rows, against plain sense, and the interval.

Judged is the held-out fit, which has not seen the rows; the released model is held against it. Not here: slices.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from pipeline.checks.bootstrap import lower_bound
from pipeline.checks.case import Case, Duel
from pipeline.contract.certificate import Check
from pipeline.metrics import ACTUAL, BASELINE, HIGH, LOW, PRICE, REFERENCE

GROUP = "quality"
LEVEL = 0.025  # of being wrong about a refusal
SCALE = (0.5, 2.0)  # of the middle of price over actual price
LEAST_SPREAD = 0.2  # of the answers' middle four fifths beside those of the actual prices
REFIT = 1.25  # times the held-out error: the refit has seen the rows and is better on them
COVERAGE = (0.7, 0.9)  # of an 80 % interval
LEAST_COVERAGE_ROWS, STANDARD_ERRORS = 200, 2


def baseline(case: Case) -> Check:
    """A model that was given the baseline must not be worse; one without must not be worse than the naive guess."""
    given = case.candidate.manifest.lineage.get("with_baseline", True) and case.test[BASELINE].notna().any()
    name = BASELINE if given else REFERENCE
    known = case.test[case.test[name].notna()]
    if known.empty:
        return Check(GROUP, name, None, None, True, f"there is no {name} to compare with")
    ours, theirs = _errors(known, PRICE), _errors(known, name)
    figure, limit = float(ours.mean()), float(theirs.mean())
    passed = figure < limit or lower_bound(ours - theirs, LEVEL) <= 0
    verb = "is below" if figure < limit else "is not surely above" if passed else "is not below"
    text = f"mean error {figure:,.0f} {case.unit} {verb} the {name}'s {limit:,.0f}"
    return Check(GROUP, name, figure, limit, passed, text, passed and figure >= limit)


def champion(duel: Duel | str, margin: float, unit: str) -> Check:
    """The mean error beside the champion's on the same newest rows; refused when surely beyond the margin."""
    if isinstance(duel, str):
        return Check(GROUP, "champion", None, None, True, duel)
    allowed = (1 + margin) * duel.handicap
    sure = lower_bound(duel.ours - allowed * duel.theirs, LEVEL)
    figure, limit, passed = float(duel.ours.mean()), float(allowed * duel.theirs.mean()), sure <= 0
    version = duel.champion.release.version
    text = (
        f"mean error {figure:,.0f} {unit} against {duel.theirs.mean():,.0f} of the champion, version {version}, on the "
        f"same {len(duel.rows):,} newest rows ({'within' if passed else 'beyond'} {allowed - 1:.0%} and noise)"
    )
    return Check(GROUP, "champion", figure, limit, passed, text, passed and figure > limit)


def floor(case: Case) -> tuple[Check, ...]:
    """Plain sense, of the very model that goes live: it answers, on the scale of the prices, and not all the same."""
    answers, actual = case.answers[:, 0], case.test[ACTUAL].to_numpy(np.float64)
    known = np.isfinite(answers)
    if not known.all():
        share = float(1 - known.mean())
        text = f"{share:.1%} of the newest rows get no price"
        return (Check(GROUP, "answers", share, 0.0, False, text),)
    return _scale(answers, actual), _spread(answers, actual), _refit(case, answers, actual)


def _scale(answers: np.ndarray, actual: np.ndarray) -> Check:
    figure = float(np.median(answers / actual))
    limit = SCALE[0] if figure < SCALE[0] else SCALE[1]
    text = f"the middle answer is {figure:.3g} times the price"
    return Check(GROUP, "scale", figure, limit, SCALE[0] <= figure <= SCALE[1], text)


def _spread(answers: np.ndarray, actual: np.ndarray) -> Check:
    ours, theirs = (float(np.subtract(*np.quantile(each, [0.9, 0.1]))) for each in (answers, actual))
    figure = ours / theirs if theirs > 0 else 1.0
    passed = figure >= LEAST_SPREAD
    text = f"answers are spread {figure:.2f} times as wide as prices" + ("" if passed else ": nearly a constant")
    return Check(GROUP, "spread", figure, LEAST_SPREAD, passed, text)


def _refit(case: Case, answers: np.ndarray, actual: np.ndarray) -> Check:
    figure, held_out = float(np.abs(answers - actual).mean()), float(_errors(case.test, PRICE).mean())
    limit = REFIT * held_out
    passed = figure <= limit
    text = (
        f"the released model, refitted on all days, has a mean error of {figure:,.0f} {case.unit} on the newest; "
        f"the fit that was measured has {held_out:,.0f}"
    )
    return Check(GROUP, "refit", figure, limit, passed, text)


def coverage(case: Case) -> Check:
    """Does the 80 % interval hold about 80 % of the prices? Beyond the limits by more than chance is refused."""
    test = case.test
    rows, figure = len(test), float(((test[LOW] <= test[ACTUAL]) & (test[ACTUAL] <= test[HIGH])).mean())
    if rows < LEAST_COVERAGE_ROWS:
        text = f"{rows:,} test rows are too few to judge the interval (needs {LEAST_COVERAGE_ROWS})"
        return Check(GROUP, "coverage", figure, None, True, text)
    low, high = COVERAGE
    limit = low if figure < low else high
    chance = STANDARD_ERRORS * math.sqrt(limit * (1 - limit) / rows)
    passed = low - chance <= figure <= high + chance
    text = f"the 80 % interval holds {figure:.1%} of {rows:,} prices (allowed {low:.0%} to {high:.0%}, and chance)"
    return Check(GROUP, "coverage", figure, limit, passed, text, passed and not low <= figure <= high)


def _errors(table: pd.DataFrame, name: str) -> np.ndarray:
    return np.abs(table[name].to_numpy(np.float64) - table[ACTUAL].to_numpy(np.float64))
