"""What the model costs to serve beside the champion: its size, and the time of one row, both run here side by side.

Not here: throughput of a server (``benchmarks/serving``).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from pipeline.checks.case import Case
from pipeline.contract.bundle import Bundle
from pipeline.contract.certificate import Check
from pipeline.scoring import Scorer

GROUP = "cost"
MOST_SIZE, SMALL = 4.0, 4 << 20  # times the champion's; a model that small weighs nothing
MOST_LATENCY = 3.0
WARM_UP, ROUNDS = 20, 200


def size(case: Case) -> Check:
    figure = len(case.candidate.model)
    if case.champion is None:
        return Check(GROUP, "size", figure, None, True, f"{figure / 1e6:.1f} MB; {case.without_champion}")
    theirs = len(case.champion.bundle.model)
    limit = max(MOST_SIZE * theirs, SMALL)
    text = f"{figure / 1e6:.1f} MB, the champion has {theirs / 1e6:.1f} MB"
    return Check(GROUP, "size", figure, limit, figure <= limit, text)


def latency(case: Case) -> Check:
    """The middle time of a row in milliseconds, one thread; in turns, so that what disturbs the one disturbs both."""
    bundles = [case.candidate] if case.champion is None else [case.candidate, case.champion.bundle]
    try:
        times = _medians([_asking(bundle) for bundle in bundles])
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no base class
        return Check(
            GROUP, "latency", None, None, True, f"not compared with the champion: one does not answer ({error})"
        )
    if len(times) == 1:
        return Check(GROUP, "latency", times[0], None, True, f"{times[0]:.3g} ms a row; {case.without_champion}")
    passed = times[0] <= MOST_LATENCY * times[1]
    text = f"{times[0]:.3g} ms a row, the champion takes {times[1]:.3g} ms (allowed {MOST_LATENCY:g} times)"
    return Check(GROUP, "latency", times[0], MOST_LATENCY * times[1], passed, text)


def _asking(bundle: Bundle) -> Callable[[], object]:
    """One row of the bundle's own recorded requests, asked of its graph."""
    scorer, schema = Scorer(bundle.model, bundle.manifest.schema, threads=1), bundle.manifest.schema
    arrays = schema.arrays(bundle.golden.rows[:1])
    return lambda: scorer.run(arrays)


def _medians(askings: list[Callable[[], object]]) -> list[float]:
    times: list[list[float]] = [[] for _ in askings]
    for _ in range(WARM_UP + ROUNDS):
        for asking, taken in zip(askings, times, strict=True):
            start = time.perf_counter()
            asking()
            taken.append(1_000 * (time.perf_counter() - start))
    return [statistics.median(taken[WARM_UP:]) for taken in times]
