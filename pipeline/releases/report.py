"""The report of two releases: in traffic, on the same rows, against prices, and which of them is better.

Not here: the command and how a report looks (``report_command.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.contract.channel import Channel, Release
from pipeline.datasets.declaration import Dataset
from pipeline.errors import DeployFailed, GiveUp
from pipeline.releases import find_release, read_channel
from pipeline.releases.report_collect import collect, read_collected
from pipeline.releases.report_pairs import compare_pairs
from pipeline.releases.report_parts import PAIRS, SALES, Part
from pipeline.releases.report_sales import compare_sales
from pipeline.releases.report_statistics import rows_needed
from pipeline.releases.report_traffic import traffic
from pipeline.replica_readings import Told, ask
from pipeline.store import Store

WORTH_KNOWING = 0.01  # of the mean price: what an estimate of rows is made for while there are no errors to look at


@dataclass(frozen=True, slots=True)
class Report:
    """``conclusion`` is one sentence; ``notes`` say what could not be used."""

    model: str
    a: Release
    b: Release
    unit: str
    parts: tuple[Part, ...]
    conclusion: str
    notes: tuple[str, ...] = ()


def report(
    dataset: Dataset, store: Store, urls: tuple[str, ...], token: str, versions: tuple[int, int] | None = None
) -> Report:
    """Of two versions, or of the champion (A) and the challenger or else the shadow (B).

    Raises:
        GiveUp: there is nothing to compare; the message says what to do.
        ModelRefused: there is no whole release of a number.
    """
    model = dataset.model_name
    numbers = versions or _on_trial(read_channel(store, model).channel)
    if numbers[0] == numbers[1]:
        raise GiveUp(f"version {numbers[0]} does not differ from itself; name two versions")
    (a, bundle_a), (b, bundle_b) = (find_release(store, model, each) for each in numbers)
    told = ask(urls, token)
    notes = _keep_pairs(store, model, told)
    (ours, unused), (turned, unused_too) = (read_collected(store, model, *each) for each in ((a, b), (b, a)))
    none = (
        f"there are no pairs: neither of versions {a.version} and {b.version} was the other's shadow, or none were kept"
    )
    schema = bundle_a.manifest.schema
    parts = (
        traffic(told, a, b),
        compare_pairs(ours, turned, schema, none),
        compare_sales(dataset, store, bundle_a, bundle_b),
    )
    sentence = conclusion(a.version, b.version, schema.output_unit, {part.name: part for part in parts})
    return Report(model, a, b, schema.output_unit, parts, sentence, (*notes, *unused, *unused_too))


def _on_trial(channel: Channel) -> tuple[int, int]:
    other = channel.challenger.release if channel.challenger else channel.shadow
    if channel.champion is None or other is None:
        raise GiveUp(
            f"{channel.model} has no challenger and no shadow beside a champion; name two versions: report 4 5"
        )
    return channel.champion.version, other.version


def _keep_pairs(store: Store, model: str, told: tuple[Told, ...]) -> tuple[str, ...]:
    """What could not be kept, and why: a report is made of what there is, also while replicas are away."""
    try:
        return collect(store, model, told).notes
    except DeployFailed as error:
        return (f"no replica answers: {error}",)


def conclusion(a: int, b: int, unit: str, parts: dict[str, Part]) -> str:
    """Which is better by what, or how many more rows it would take to tell. Prices alone tell who is right."""
    sales = parts[SALES]
    if sales.absent or sales.deviation is None:
        return f"Which is better cannot be told: {sales.absent}{_first_rows(parts[PAIRS], unit)}."
    error = sales.figures[0]
    apart, rows = error.apart, error.rows[0]
    interval = f"95 %: {apart.low:+,.4g} to {apart.high:+,.4g} {unit}"
    if apart.sure:
        better, worse = (b, a) if apart.value < 0 else (a, b)
        base = max(error.a or 0.0, error.b or 0.0)
        by = f"{abs(apart.value):,.4g} {unit}" + (f" ({abs(apart.value) / base:.1%})" if base else "")
        below = f"its mean error on {rows:,} sales is {by} below version {worse}'s"
        return f"Version {better} is better: {below} ({interval})."
    needed = rows_needed(apart.value, sales.deviation)
    if needed is None:
        return f"Versions {a} and {b} are equally good on all {rows:,} sales: no number of rows would tell them apart."
    more = f"about {max(needed - rows, rows // 10 + 1):,} more would be needed"
    return (
        f"It cannot be told yet which is better: on {rows:,} sales their mean errors differ by {apart.value:+,.4g} "
        f"{unit} ({interval}), and {more} if the difference is of that size."
    )


def _first_rows(pairs: Part, unit: str) -> str:
    """About how many sales it would take, judged by how far apart the answers are: errors are no further apart."""
    if pairs.absent or pairs.deviation is None or not pairs.figures[0].a:
        return ""
    apart = WORTH_KNOWING * abs(pairs.figures[0].a)
    needed = rows_needed(apart, pairs.deviation)
    if not needed:
        return "; both have given the same answers, so there may be nothing to tell"
    return f"; about {needed:,} would tell a difference of {apart:,.4g} {unit} ({WORTH_KNOWING:.0%} of the mean price)"
