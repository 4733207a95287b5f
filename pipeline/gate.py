"""Is a registered version good enough to go live? Checks with a figure, a limit and a sentence each.

A refused version stays registered, with the reason as a tag. Not here: making it live (``pipeline/deploy.py``).
"""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.cleaning import DAY
from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import Bundle, BundleInvalid
from pipeline.metrics import ACTUAL, PRICE
from pipeline.registry import Registry
from pipeline.releases import live_release, read_release
from pipeline.store import KeyNotFound, Store
from pipeline.workspace import Ref, read_file

PARITY_LIMIT = 1e-6
COVERAGE_LIMITS = (0.7, 0.9)  # of an 80 % interval
LEAST_COVERAGE_ROWS = 200
LEAST_PAIRED_ROWS = 100
STANDARD_ERRORS = 2


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``figure`` and ``limit`` are None where there was nothing to compare; ``text`` is for people."""

    name: str
    figure: float | None
    limit: float | None
    passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """May the version go live? ``reason`` says in one line why or why not."""

    passed: bool
    checks: tuple[Check, ...]
    reason: str

    @property
    def message(self) -> str:
        return f"{'passed' if self.passed else 'refused'}: {self.reason}"


def gate(
    store: Store, registry: Registry, bundle: Ref, trained: Ref, version: int, margin: float, force_reason: str = ""
) -> Verdict:
    """Check a version and tag it ``gate`` = passed, refused, or forced with the reason given.

    ``margin`` is how much worse than the champion it may be, as a fraction. A refusal is an answer, not an error.

    Raises:
        DataInvalid, BundleInvalid: the inputs were changed after they were written.
        RegistryUnavailable, StoreUnavailable: try again.
    """
    candidate = bundles.read({name: read_file(store, bundle, name) for name in bundles.FILES})
    rows = pd.read_parquet(io.BytesIO(read_file(store, trained, "predictions.parquet")))
    metrics = json.loads(read_file(store, trained, "metrics.json"))
    checks = (
        _parity(candidate),
        _against_baseline(metrics, candidate),
        _coverage(metrics["model"]),
        _against_champion(store, candidate, rows, margin),
    )
    verdict = _verdict(checks, force_reason)
    registry.tag_version(candidate.manifest.model_name, version, _tags(verdict, force_reason))
    return verdict


def _verdict(checks: tuple[Check, ...], force_reason: str) -> Verdict:
    refused = [check.text for check in checks if not check.passed]
    if not refused:
        return Verdict(True, checks, "; ".join(check.text for check in checks))
    if force_reason:
        return Verdict(True, checks, f"forced ({force_reason}) although {'; '.join(refused)}")
    return Verdict(False, checks, "; ".join(refused))


def _tags(verdict: Verdict, force_reason: str) -> dict[str, str]:
    if not verdict.passed:
        word = "refused"
    elif all(check.passed for check in verdict.checks):
        word = "passed"
    else:
        word = f"forced: {force_reason}"
    return {"gate": word[:200], "gate_reason": verdict.reason[:1000]}


def _parity(candidate: Bundle) -> Check:
    parity = candidate.manifest.metrics.get("parity") or {}
    rows, figure = parity.get("rows", 0), parity.get("max_relative_difference")
    if not rows or figure is None:
        return Check("parity", None, PARITY_LIMIT, False, "the bundle has no record of ONNX against sklearn")
    passed = figure <= PARITY_LIMIT
    text = f"ONNX differs from sklearn by {figure:.1e} at most on {rows:,} rows (limit {PARITY_LIMIT:.0e})"
    return Check("parity", figure, PARITY_LIMIT, passed, text)


def _against_baseline(metrics: dict[str, Any], candidate: Bundle) -> Check:
    """A model that was given the baseline must beat it; one without must beat the naive guess."""
    given = candidate.manifest.lineage.get("with_baseline", True) and metrics.get("baseline")
    name = "baseline" if given else "reference"
    figure, limit = metrics["model"]["mae"], (metrics.get(name) or {}).get("mae")
    unit = candidate.manifest.schema.output_unit
    if limit is None:
        return Check(name, figure, None, True, f"there is no {name} to compare with")
    passed = bool(figure < limit)
    text = f"mean error {figure:,.0f} {unit} is {'below' if passed else 'not below'} the {name}'s {limit:,.0f}"
    return Check(name, figure, limit, passed, text)


def _coverage(model: dict[str, Any]) -> Check:
    low, high = COVERAGE_LIMITS
    figure, rows = model.get("coverage"), model["rows"]
    if figure is None or rows < LEAST_COVERAGE_ROWS:
        text = f"{rows:,} test rows are too few to judge the interval (needs {LEAST_COVERAGE_ROWS})"
        return Check("coverage", figure, None, True, text)
    passed = low <= figure <= high
    limit = low if figure < low else high
    text = f"the 80 % interval holds {figure:.1%} of {rows:,} prices (allowed {low:.0%} to {high:.0%})"
    return Check("coverage", figure, limit, passed, text)


def _against_champion(store: Store, candidate: Bundle, rows: pd.DataFrame, margin: float) -> Check:
    model = candidate.manifest.model_name
    live = live_release(store, model)
    if live is None:
        return _nothing("there is no champion yet")
    try:
        champion = read_release(store, model, live.version, live.digest)
    except (KeyNotFound, BundleInvalid) as error:
        return _nothing(f"the champion's release {live.version} cannot be read ({error})")
    new = rows[(rows[DAY].astype(str) > live.data_day) & rows[ACTUAL].notna()]
    obstacle = _obstacle(candidate, champion, new)
    if obstacle:
        return _nothing(f"not compared with the champion, version {live.version}: {obstacle}")
    return _paired(new, champion, live.version, margin)


def _obstacle(candidate: Bundle, champion: Bundle, rows: pd.DataFrame) -> str:
    """Why the two cannot be compared on ``rows``; empty when they can."""
    if champion.manifest.fingerprint == candidate.manifest.fingerprint:
        return "it is made of the same data and code and is live already"
    missing = [column.name for column in champion.manifest.schema.inputs if column.name not in rows]
    if missing:
        return f"the test rows lack its column {missing[0]!r}"
    if len(rows) < LEAST_PAIRED_ROWS:
        return f"{len(rows)} test rows are newer than what it learned from, too few (needs {LEAST_PAIRED_ROWS})"
    return ""


def _nothing(text: str) -> Check:
    return Check("champion", None, None, True, text)


def _paired(rows: pd.DataFrame, champion: Bundle, version: int, margin: float) -> Check:
    """Mean absolute errors on the same rows; refused when worse by more than two standard errors of the difference."""
    from pipeline.scoring import Scorer  # noqa: PLC0415 - onnxruntime only when there is something to score

    actual = rows[ACTUAL].to_numpy(np.float64)
    theirs = np.abs(Scorer(champion.model, champion.manifest.schema).predict(rows)[:, 0] - actual)
    ours = np.abs(rows[PRICE].to_numpy(np.float64) - actual)
    excess = ours - (1 + margin) * theirs
    noise = STANDARD_ERRORS * float(excess.std(ddof=1)) / math.sqrt(len(rows))
    passed = bool(excess.mean() <= noise)
    unit = champion.manifest.schema.output_unit
    text = (
        f"mean error {ours.mean():,.0f} {unit} against {theirs.mean():,.0f} of the champion, version {version}, on the "
        f"same {len(rows):,} newest rows ({'within' if passed else 'beyond'} {margin:.0%} and noise)"
    )
    return Check("champion", float(ours.mean()), float((1 + margin) * theirs.mean() + noise), passed, text)
