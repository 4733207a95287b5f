"""Is any part of the market priced much worse than by the champion? On the same rows, with the number of parts in mind.

Not here: the whole (``quality.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.checks.bootstrap import lower_bound
from pipeline.checks.case import Case, Duel
from pipeline.checks.drift import plain
from pipeline.contract.certificate import Check
from pipeline.metrics import ACTUAL

GROUP = "quality"
LEVEL = 0.025  # of a false refusal over all slices together (Bonferroni)
MARGIN = 0.25  # a part may lose this much while the whole does not
LARGEST, LEAST_ROWS = 6, 50
QUARTERS = ("cheapest", "second", "third", "dearest")


@dataclass(frozen=True, slots=True)
class _Slice:
    name: str
    ours: float
    theirs: float
    rows: int
    worse: bool

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs if self.theirs else 1.0


def slices(case: Case, duel: Duel | str, margin: float) -> Check:
    """One check for all slices; its figure is the ratio of the errors in the worst of them."""
    if isinstance(duel, str):
        return Check(GROUP, "slices", None, None, True, duel)
    parts = [(name, rows) for name, rows in _parts(case, duel) if rows.sum() >= LEAST_ROWS]
    allowed = (1 + max(margin, MARGIN)) * duel.handicap
    found = [_judge(name, rows, duel, allowed, LEVEL / len(parts)) for name, rows in parts]
    if not found:
        return Check(GROUP, "slices", None, allowed, True, f"no slice has {LEAST_ROWS} of the newest rows")
    bad = [each for each in found if each.worse]
    worst = max(bad or found, key=lambda each: each.ratio)
    text = (
        f"{len(bad) or 'none'} of {len(found)} slices is surely worse than the champion's by {allowed - 1:.0%}; "
        f"the worst is {worst.name}: {worst.ours:,.0f} against {worst.theirs:,.0f} {case.unit} on {worst.rows:,} rows"
    )
    return Check(GROUP, "slices", worst.ratio, allowed, not bad, text)


def _parts(case: Case, duel: Duel) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """The largest values of each text column, and the quarters of the price."""
    for column in case.candidate.manifest.schema.inputs:
        if column.kind != "categorical" or column.name not in duel.rows:
            continue
        values = plain(duel.rows[column.name])
        for value in values.value_counts().index[:LARGEST]:
            yield f"{column.name} {value or 'not known'}", (values == value).to_numpy()
    actual = duel.rows[ACTUAL].to_numpy(np.float64)
    quarter = np.searchsorted(np.quantile(actual, [0.25, 0.5, 0.75]), actual, side="left")
    for index, name in enumerate(QUARTERS):
        yield f"{name} quarter", quarter == index


def _judge(name: str, rows: npt.NDArray[np.bool_], duel: Duel, allowed: float, level: float) -> _Slice:
    ours, theirs = duel.ours[rows], duel.theirs[rows]
    excess = ours - allowed * theirs
    worse = bool(excess.mean() > 0) and lower_bound(excess, level) > 0
    return _Slice(name, float(ours.mean()), float(theirs.mean()), int(rows.sum()), worse)
