"""Both releases in traffic: errors, latency and answers, each to requests of its own.

Not here: the same rows answered by both (``report_pairs.py``).
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.contract.channel import Release
from pipeline.releases import report_statistics as statistics
from pipeline.releases.report_parts import TRAFFIC, Figure, Part
from pipeline.replica_readings import Told, counts
from pipeline.variant_counts import Counts, Reading

QUANTILES = {"latency p50, s": 0.5, "latency p95, s": 0.95}
UNPAIRED_SHADOW = "a shadow's latency is the model's alone, no client's, and is not compared"


def traffic(told: Iterable[Told], a: Release, b: Release) -> Part:
    """What all replicas have counted of A and B since they have stood beside each other."""
    total, beside, notes = Reading(), False, []
    for each in told:
        try:
            found = None if each.problem else counts(each.variants, a.digest, b.digest)
        except ValueError as error:
            notes.append(f"{each.url}: {error}")
            continue
        if found is not None:
            total, beside = total + found[0], beside or found[1]
    ours, theirs = total.champion, total.challenger
    if not ours.requests or not theirs.requests:
        why = f"no replica has counted requests to version {a.version} beside version {b.version}"
        return Part(TRAFFIC, absent=why, notes=tuple(notes))
    figures = (_errors(ours, theirs), *(() if beside else _latency(ours, theirs)), *_answers(ours, theirs))
    return Part(TRAFFIC, figures=figures, notes=(*notes, *((UNPAIRED_SHADOW,) if beside else ())))


def _errors(a: Counts, b: Counts) -> Figure:
    shares = [statistics.share(each.errors, each.requests) for each in (a, b)]
    apart = statistics.difference(*shares)
    return Figure("error rate", "difference", shares[0].value, shares[1].value, apart, (a.requests, b.requests))


def _latency(a: Counts, b: Counts) -> tuple[Figure, ...]:
    if not (sum(a.seconds.values()) and sum(b.seconds.values())):
        return ()
    rows, found = (a.requests, b.requests), []
    for name, part in QUANTILES.items():
        one, other = (statistics.latency(each.seconds, part) for each in (a, b))
        found.append(Figure(name, "ratio", one.value, other.value, statistics.ratio(one, other), rows))
    return tuple(found)


def _answers(a: Counts, b: Counts) -> tuple[Figure, ...]:
    apart = statistics.mean_difference(a, b)
    if apart is None:
        return ()
    means = (a.total / a.answers, b.total / b.answers)
    return (Figure("mean answer", "difference", *means, apart, (a.answers, b.answers)),)
