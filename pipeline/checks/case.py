"""What the gate judges: the candidate, the rows it was made of and measured on, and the champion beside it.

Not here: any judgement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.cleaning import DAY
from pipeline.contract.bundle import Bundle
from pipeline.contract.channel import Release
from pipeline.metrics import ACTUAL, PRICE
from pipeline.scoring import Scorer

Floats = npt.NDArray[np.float64]

LEAST_PAIRED_ROWS = 100
# The error of a learner falls with the rows it learned from by a power law. 0.07 to 0.35 were found for the exponent
# (Hestness et al., "Deep Learning Scaling is Predictable, Empirically", 2017), and less than 0.1 here (gate_seeds.py).
LEARNING_EXPONENT = 0.15


@dataclass(frozen=True, slots=True)
class Champion:
    """What is live, and its verified files."""

    release: Release
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class Case:
    """``rows`` are the clean rows of the window, ``test`` those of its newest days with the answers of the held-out
    fit, which has not seen them; ``answers`` (n, 3) are those of the released model to ``test``.

    ``without_champion`` says why there is no champion.
    """

    candidate: Bundle
    target: str
    rows: pd.DataFrame
    test: pd.DataFrame
    metrics: Mapping[str, Any]
    answers: Floats
    champion: Champion | None
    without_champion: str = ""

    @property
    def unit(self) -> str:
        return self.candidate.manifest.schema.output_unit

    @property
    def older(self) -> pd.DataFrame:
        """The rows of the window before the days of ``test``."""
        return self.rows[~self.rows[DAY].isin(self.test[DAY].unique())]


@dataclass(frozen=True, slots=True)
class Duel:
    """Absolute errors of candidate (its held-out fit) and champion on the same ``rows``, newer than the champion.

    ``handicap`` (1 or more) is how much larger the candidate's error may be for having learned from fewer rows:
    the champion learned from all its days, the held-out fit only from those before the days it is measured on.
    """

    champion: Champion
    rows: pd.DataFrame
    ours: Floats
    theirs: Floats
    handicap: float


def duel(case: Case) -> Duel | str:
    """The two on the same rows or, in words, why they cannot be compared."""
    if case.champion is None:
        return case.without_champion
    live, champion = case.champion.release, case.champion.bundle
    obstacle = _obstacle(case, champion)
    if obstacle:
        return f"not compared with the champion, version {live.version}: {obstacle}"
    rows = case.test[(case.test[DAY].astype(str) > live.data_day) & case.test[ACTUAL].notna()]
    if len(rows) < LEAST_PAIRED_ROWS:
        few = f"{len(rows)} test rows are newer than what it learned from, too few (needs {LEAST_PAIRED_ROWS})"
        return f"not compared with the champion, version {live.version}: {few}"
    try:
        theirs = Scorer(champion.model, champion.manifest.schema).predict(rows)[:, 0]
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no base class
        return f"not compared with the champion, version {live.version}: it does not answer ({error})"
    actual = rows[ACTUAL].to_numpy(np.float64)
    ours = np.abs(rows[PRICE].to_numpy(np.float64) - actual)
    return Duel(case.champion, rows, ours, np.abs(theirs - actual), _handicap(case, champion))


def _obstacle(case: Case, champion: Bundle) -> str:
    if champion.manifest.fingerprint == case.candidate.manifest.fingerprint:
        return "it is made of the same data and code and is live already"
    missing = [column.name for column in champion.manifest.schema.inputs if column.name not in case.test]
    return f"the test rows lack its column {missing[0]!r}" if missing else ""


def _handicap(case: Case, champion: Bundle) -> float:
    ours = case.metrics["rows"]["train"]
    theirs = sum((champion.manifest.metrics.get("rows") or {}).values())
    return float(max(1.0, theirs / max(ours, 1)) ** LEARNING_EXPONENT)
