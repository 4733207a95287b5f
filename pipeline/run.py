"""The steps in order for a range of days, without Airflow: ``python -m pipeline.run --source URI --from DAY --to DAY``.

Each day is scored by the release that was live before it, then joins the window and makes a new release.
Not here: what a step does.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from pipeline import datasets, steps
from pipeline.errors import GavelError, SettingsInvalid
from pipeline.settings import Settings, read_settings
from pipeline.workspace import code_digest, key_of

console = Console(stderr=True)

# What a run is told apart by: a run of the same has the same folder.
ASKED = ("source", "dataset", "window_days", "with_baseline", "seed", "gate_margin", "gate_mode")


@dataclass(frozen=True, slots=True)
class DayResult:
    """One sale day: how the release live before it did on its rows, and the version that it made.

    Errors are in the target's unit; ``scored_by`` is None when no release was live before. ``version`` is the
    version made of this day, None when there was too little to learn from, and ``parity_max_rel`` its largest
    relative difference between ONNX and sklearn.
    """

    day: str
    rows: int
    mae: float | None
    baseline_mae: float | None
    interval_coverage: float | None
    parity_max_rel: float | None
    version: int | None
    scored_by: int | None
    live: bool
    reason: str
    seconds: float


Report = Callable[[str], None]


def run_day(settings: Settings, day: date, today: date, report: Report) -> DayResult | None:
    """All steps for one day; None when there was no sale that day."""
    start = datetime.now(UTC)
    report("fetch")
    fetched = steps.fetch(settings, day.isoformat(), today.isoformat())
    if fetched["window"] is None:
        return None
    score = steps.score(settings, fetched["partition"])
    made = _make(settings, day, fetched["window"], report)
    return DayResult(
        day=day.isoformat(),
        rows=score["rows"],
        mae=score["mae"],
        baseline_mae=score["baseline_mae"],
        interval_coverage=score["interval_coverage"],
        scored_by=score["version"],
        seconds=round((datetime.now(UTC) - start).total_seconds(), 2),
        **made,
    )


def _make(settings: Settings, day: date, window: dict[str, Any], report: Report) -> dict[str, Any]:
    """A new version of the window, live if the gate lets it: ``parity_max_rel``, ``version``, ``live``, ``reason``."""
    report("preprocess")
    prepared = steps.preprocess(settings, window)
    if not prepared["prefix"]:
        return {"parity_max_rel": None, "version": None, "live": False, "reason": prepared["message"]}
    report("train")
    trained = steps.train(settings, prepared)
    report("export")
    bundle = steps.export(settings, trained)
    report("register")
    version = steps.register(settings, bundle, trained, _context(settings, day))["version"]
    made = {"parity_max_rel": bundle["parity_max_rel"], "version": version}
    report("gate")
    verdict = steps.gate(settings, bundle, trained, version)
    if not verdict["passed"]:
        return {**made, "live": False, "reason": verdict["reason"]}
    report("deploy")
    deployed = steps.deploy(settings, verdict, version, _context(settings, day))
    return {**made, "live": deployed["live"], "reason": deployed["message"]}


def _context(settings: Settings, day: date) -> dict[str, Any]:
    return {
        "run_key": f"pipeline.run/{settings.dataset}/{day.isoformat()}",
        "dag_id": "",
        "dag_run_id": "",
        "data_day": day.isoformat(),
        "trigger": "command line",
        "reason": "",
        "url": "",
    }


def pool(results: list[DayResult], since: str) -> dict[str, Any]:
    """The figures of all scored days from ``since`` on together, each row counting the same."""
    scored = [result for result in results if result.scored_by is not None and result.day >= since]
    rows = sum(result.rows for result in scored)

    def mean(values: list[float | None]) -> float | None:
        if not rows or any(value is None for value in values):
            return None
        return sum(float(v or 0) * r.rows for v, r in zip(values, scored, strict=True)) / rows

    mae, baseline = mean([r.mae for r in scored]), mean([r.baseline_mae for r in scored])
    return {
        "days": len(scored),
        "rows": rows,
        "mae": mae,
        "baseline_mae": baseline,
        "mae_ratio": mae / baseline if mae is not None and baseline else None,
        "interval_coverage": mean([r.interval_coverage for r in scored]),
        "parity_max_rel": max((r.parity_max_rel for r in results if r.parity_max_rel is not None), default=None),
        "versions": len({r.version for r in results} - {None}),
    }


def _report(show: Progress, bar: TaskID, day: date, step: str) -> None:
    show.update(bar, description=f"{day} {step}")


def run_days(settings: Settings, first: date, last: date, show: Progress) -> Iterator[DayResult]:
    """One result for each day of the range that had sales."""
    days = [first + timedelta(days=i) for i in range((last - first).days + 1)]
    bar = show.add_task("", total=len(days))
    for day in days:
        report = functools.partial(_report, show, bar, day)
        result = run_day(settings, day, last + timedelta(days=1), report)
        show.advance(bar)
        if result is not None:
            yield result


def table_of(results: list[DayResult], pooled: dict[str, Any], unit: str) -> Table:
    table = Table("day", "rows", "scored by", f"error {unit}", "baseline", "ratio", "in interval", "parity", "made")
    for r in results:
        made = f"version {r.version}" if r.version else "none"
        made += "" if r.live else f" (not live: {r.reason})"
        ratio = r.mae / r.baseline_mae if r.mae is not None and r.baseline_mae else None
        scored_by = _text(r.scored_by, "version {}")
        table.add_row(r.day, str(r.rows), scored_by, *_figures({**asdict(r), "mae_ratio": ratio}), made)
    table.add_section()
    made = f"{pooled['versions']} versions"
    table.add_row("pooled", str(pooled["rows"]), f"{pooled['days']} days", *_figures(pooled), made)
    return table


def _figures(of: dict[str, Any]) -> list[str]:
    forms = {
        "mae": "{:,.0f}",
        "baseline_mae": "{:,.0f}",
        "mae_ratio": "{:.3f}",
        "interval_coverage": "{:.1%}",
        "parity_max_rel": "{:.0e}",
    }
    return [_text(of[name], form) for name, form in forms.items()]


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pipeline.run", description=(__doc__ or "").splitlines()[0])
    add, day = parser.add_argument, _day
    add("--source", help="simulated:, folder:PATH, s3://bucket/prefix or https://...{day}...")
    add("--from", dest="first", type=day, required=True, metavar="DAY", help="first data day, as 2015-06-01")
    add("--to", dest="last", type=day, required=True, metavar="DAY", help="last data day")
    add("--dataset", choices=datasets.names(), help="a file of pipeline/datasets")
    add("--without-baseline", action="store_true", help="leave the dataset's baseline column out of the model")
    add("--window-days", type=int, help="calendar days that a model learns from")
    add("--score-from", type=day, metavar="DAY", help="pool the scored days from this one on (default: all)")
    add("--state", type=Path, help="folder to keep everything in (default: one of its own under .gavel/runs)")
    add("--json", action="store_true", help="print one JSON object instead of the table")
    options = parser.parse_args(arguments)
    if options.last < options.first:
        parser.error("--to is before --from")
    return options


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day; write it as 2015-06-01") from error


def settings_of(options: argparse.Namespace) -> Settings:
    """The environment's settings with the command line's on top, and a store and registry of this run's own.

    The same question finds the same folder again, so a run that was broken off goes on where it was. Other code
    begins anew: days are scored once, and those scored before would show the figures of the old code.
    """
    given = {"source": options.source, "dataset": options.dataset, "window_days": options.window_days}
    if options.without_baseline:
        given["with_baseline"] = False
    settings = read_settings(**{name: value for name, value in given.items() if value is not None})
    asked = {name: str(getattr(settings, name)) for name in ASKED}
    state = options.state or Path(".gavel/runs") / key_of(asked, options.first.isoformat(), code_digest())
    state = state.resolve()
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsInvalid(f"the folder {state} cannot be used: {error}") from error
    own = {"store": f"file:{state}/store", "mlflow_uri": f"sqlite:///{state}/mlflow.db", "serving_urls": ()}
    return settings.model_copy(update=own)


def main(arguments: list[str]) -> int:
    # Read when sklearn is imported: OpenMP threads that spin for long make a shared machine many times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    options = parse(arguments)
    try:
        settings = settings_of(options)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as show:
            results = list(run_days(settings, options.first, options.last, show))
    except GavelError as error:
        console.print(f"[red]{type(error).__name__}[/]: {error}", highlight=False)
        return 2 if isinstance(error, SettingsInvalid) else 1
    pooled = pool(results, options.score_from.isoformat() if options.score_from else "")
    if options.json:
        sys.stdout.write(json.dumps({"days": [asdict(r) for r in results], "pooled": pooled}, indent=1) + "\n")
    else:
        # Where nobody looks through a terminal, a table folded to 80 columns helps nobody.
        Console(width=None if sys.stdout.isatty() else 140).print(
            table_of(results, pooled, datasets.load(settings.dataset).target.unit)
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
