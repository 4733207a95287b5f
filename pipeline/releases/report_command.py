"""The commands ``report`` and ``collect``, and how a report looks. Not here: what is in it (``report.py``)."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline import datasets
from pipeline.releases import report as reports
from pipeline.releases import report_collect
from pipeline.releases.report_parts import Figure, Part
from pipeline.replica_readings import ask
from pipeline.settings import Settings
from pipeline.store import open_store

Told = tuple[Any, RenderableType]  # as JSON, and as people read it
PERCENT = {"relative", "share"}
LARGE = 1_000  # from here on nobody reads what is behind the point


def report(settings: Settings, options: argparse.Namespace) -> Told:
    dataset, store = datasets.load(settings.dataset), open_store(settings.store)
    versions = None if options.before is None else (options.before, options.after)
    token = settings.push_token.get_secret_value()
    found = reports.report(dataset, store, settings.serving_urls, token, versions)
    return asdict(found), Group(*_shown(found))


def collect(settings: Settings, _: argparse.Namespace) -> Told:
    model = datasets.load(settings.dataset).model_name
    told = ask(settings.serving_urls, settings.push_token.get_secret_value())
    found = report_collect.collect(open_store(settings.store), model, told)
    return {**asdict(found), "message": found.message}, Text(found.message)


def _shown(found: reports.Report) -> Iterator[RenderableType]:
    a, b = found.a, found.b
    yield Text(f"{found.model}: A is version {a.version} ({a.data_day}), B is version {b.version} ({b.data_day})")
    for part in found.parts:
        yield Text(f"\n{part.name}" + (f": {part.absent}" if part.absent else ""))
        yield from _of_part(part)
    yield Text("\n" + "".join(f"Note: {note}\n" for note in found.notes) + found.conclusion)


def _of_part(part: Part) -> Iterator[RenderableType]:
    if part.figures:
        table = _table("", "A", "B", "apart", "95 %", "rows")
        for figure in (*part.figures, *part.slices):
            table.add_row(*map(Text, _cells(figure)))
        yield table
    if part.quantiles:
        told = ", ".join(f"{100 * float(name):g} %: {value:+.2%}" for name, value in part.quantiles.items())
        yield Text(f"quantiles of the relative differences: {told}")
    if part.worst:
        yield _of_worst(part)
    for note in part.notes:
        yield Text(f"({note})")


def _of_worst(part: Part) -> RenderableType:
    columns = list(part.worst[0].row)
    table = _table("worst rows: A", "B", "apart", *columns)
    for each in part.worst:
        row = ("-" if each.row.get(name) is None else str(each.row[name]) for name in columns)
        table.add_row(*map(Text, (f"{each.a:,.6g}", f"{each.b:,.6g}", f"{each.relative:+.1%}", *row)))
    return table


def _cells(figure: Figure) -> tuple[str, ...]:
    apart = figure.apart
    value, low, high = (_apart(figure.kind, each) for each in (apart.value, apart.low, apart.high))
    both = ("-" if each is None else _plain(each) for each in (figure.a, figure.b))
    rows = f"{figure.rows[0]:,}" if figure.rows[0] == figure.rows[1] else f"{figure.rows[0]:,} / {figure.rows[1]:,}"
    return figure.name, *both, value, f"{low} to {high}", rows


def _apart(kind: str, value: float) -> str:
    if kind == "ratio":
        return f"x {value:.3g}"
    if kind in PERCENT:
        return f"{value:{'' if kind == 'share' else '+'}.2%}"
    return ("+" if value > 0 else "") + _plain(value)


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= LARGE else f"{value:.4g}"


def _table(*names: str) -> Table:
    return Table(*names, box=None, pad_edge=False)
