"""Both releases on the same rows, as champion and shadow answered them: how far apart, where, and the worst rows.

Not here: which of them is right (``report_sales.py``), where pairs lie (``report_collect.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.contract.schema import Schema
from pipeline.releases import report_statistics as statistics
from pipeline.releases.report_parts import LEAST_ROWS, PAIRS, Figure, Part, Worst
from pipeline.releases.report_statistics import Floats
from pipeline.replica_readings import Pair, Pairs

A, B, WEIGHT = "answer of A", "answer of B", "weight"  # no column of a dataset has a blank in its name
FAR = 0.05
LARGEST, MOST_WORST = 6, 10
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
QUARTERS = ("cheapest", "second", "third", "dearest")


def compare_pairs(champion_a: Iterable[Pairs], champion_b: Iterable[Pairs], schema: Schema, why_none: str) -> Part:
    """The part about pairs: those in which A was the champion and those in which B was."""
    both = [*((each, False) for each in champion_a), *((each, True) for each in champion_b)]
    rows = [row for each, turned in both for row in _rows(each.sample, schema.outputs[0], turned)]
    if len(rows) < LEAST_ROWS:
        return Part(PAIRS, absent=f"there are {len(rows)} pairs, {LEAST_ROWS} are needed" if rows else why_none)
    table = pd.DataFrame(rows)
    apart, weights = statistics.relative(_of(table, A), _of(table, B)), _of(table, WEIGHT)
    count, seen = len(table), sum(each.rows for each, _ in both)
    far = statistics.share_of(np.abs(apart) > FAR, weights)
    figures = (
        _figure("mean", table, apart, np.ones(count, dtype=bool)),
        Figure("median", "relative", *_medians(table), statistics.median(apart, weights), (count, count)),
        Figure(f"further apart than {FAR:.0%}", "share", None, None, far, (count, count)),
    )
    return Part(
        PAIRS,
        figures=figures,
        slices=tuple(_figure(name, table, apart, chosen) for name, chosen in _slices(table, schema)),
        quantiles={f"{part:g}": statistics.quantile(apart, weights, part) for part in QUANTILES},
        worst=_worst(both, schema.outputs[0]),
        deviation=float((_of(table, B) - _of(table, A)).std(ddof=1)),
        notes=(f"a fair sample of {count:,} of {seen:,} rows",) if seen > count else (),
    )


def _rows(pairs: Sequence[Pair], output: str, turned: bool) -> Iterator[dict[str, object]]:
    for each in pairs:
        if output in each.champion and output in each.shadow:
            answers = (each.champion[output], each.shadow[output])
            a, b = reversed(answers) if turned else answers
            yield {**each.row, A: a, B: b, WEIGHT: each.weight}


def _of(table: pd.DataFrame, name: str) -> Floats:
    return table[name].to_numpy(np.float64)


def _medians(table: pd.DataFrame) -> tuple[float, float]:
    weights = _of(table, WEIGHT)
    return statistics.quantile(_of(table, A), weights, 0.5), statistics.quantile(_of(table, B), weights, 0.5)


def _figure(name: str, table: pd.DataFrame, apart: Floats, chosen: npt.NDArray[np.bool_]) -> Figure:
    part, count = table[chosen], int(chosen.sum())
    weights = _of(part, WEIGHT)
    a, b = (float(np.average(_of(part, each), weights=weights)) for each in (A, B))
    return Figure(name, "relative", a, b, statistics.mean(apart[chosen], weights), (count, count))


def _slices(table: pd.DataFrame, schema: Schema) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """The largest values of each text column, and the quarters of the price that both say on average."""
    for column in schema.inputs:
        if column.kind == "categorical" and column.name in table:
            values = table[column.name].map(lambda value: value.strip().lower() if isinstance(value, str) else "")
            frequent = values.value_counts()
            for value in frequent[frequent >= LEAST_ROWS].index[:LARGEST]:
                yield f"{column.name} {value or 'not known'}", (values == value).to_numpy()
    price = (_of(table, A) + _of(table, B)) / 2
    quarter = np.searchsorted(np.quantile(price, [0.25, 0.5, 0.75]), price, side="left")
    for index, name in enumerate(QUARTERS):
        if (quarter == index).sum() >= LEAST_ROWS:
            yield f"{name} quarter", quarter == index


def _worst(both: Iterable[tuple[Pairs, bool]], output: str) -> tuple[Worst, ...]:
    rows = [row for each, turned in both for row in _rows(each.worst, output, turned)]
    rows.sort(key=lambda row: abs(row[B] - row[A]), reverse=True)  # type: ignore[operator]
    found = []
    for row in rows[:MOST_WORST]:
        a, b = (float(row.pop(name)) for name in (A, B))  # type: ignore[arg-type]
        row.pop(WEIGHT)
        found.append(Worst(row, a, b, float(statistics.relative(np.array([a]), np.array([b]))[0])))
    return tuple(found)
