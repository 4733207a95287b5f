"""Letting the daily DAG run for one day and telling how it goes. Not here: Airflow's API (``airflow_client.py``)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import requests
from rich.console import Console

from local.airflow_client import ENDED, Airflow, Run, Task
from local.board import Board
from local.start import DAG
from pipeline import datasets
from pipeline.sources import open_source

STEPS = ("fetch", "preprocess", "train", "export", "register", "gate", "deploy")
STATES = {
    "success": "done",
    "skipped": "skipped",
    "failed": "failed",
    "upstream_failed": "skipped",
    "running": "working",
}
LOG_LINES = 25
SILENT_SECONDS = 30
SCHEDULER_SECONDS = 5
LONGEST_PAUSE_DAYS = 14


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the run ended; ``log`` has the last lines of the failed task's log, if one failed."""

    ok: bool
    failed: str | None = None
    log: tuple[str, ...] = ()


def newest_day(source: str, dataset: str, seed: int) -> date:
    """The newest day with sales: what the source says, or yesterday, or up to two weeks before (holidays)."""
    today = datetime.now(UTC).date()
    opened = open_source(source, datasets.load(dataset), seed=seed, today=today)
    newest = opened.newest_day() or today - timedelta(days=1)
    days = [newest - timedelta(days=back) for back in range(LONGEST_PAUSE_DAYS)]
    return next((day for day in days if len(opened.read(day))), newest)


def run_day(airflow: Airflow, day: date, console: Console) -> Outcome:
    """Let ``day`` through the DAG and follow it: by the scheduled run of that day if one is due, else a manual run."""
    due = airflow.next_run(DAG)
    airflow.unpause(DAG)
    run = _scheduled(airflow, day) if due is None or due <= datetime.now(UTC) else _waiting(airflow, day)
    run = run or airflow.trigger(DAG, {"day": day.isoformat()})
    with Board(console, f"Training on the sales up to {day}", STEPS) as board:
        return follow(airflow, run, board)


def _waiting(airflow: Airflow, day: date) -> Run | None:
    """A run for that day which has not ended."""
    return next((run for run in airflow.waiting_runs(DAG) if _works_on(run, day)), None)


def _scheduled(airflow: Airflow, day: date) -> Run | None:
    """The run that the scheduler is about to make; None when it is for another day."""
    deadline = time.monotonic() + SCHEDULER_SECONDS
    while time.monotonic() < deadline:
        if run := _waiting(airflow, day):
            return run
        if airflow.waiting_runs(DAG):
            return None
        time.sleep(0.2)
    return None


def _works_on(run: Run, day: date) -> bool:
    if run.day is not None:
        return run.day == day.isoformat()
    return run.logical_date is not None and run.logical_date.astimezone(UTC).date() - timedelta(days=1) == day


def follow(airflow: Airflow, run: Run, board: Board) -> Outcome:
    """Show each step's state, seconds and one-line result until the run has ended."""
    told: dict[str, Any] = {}
    heard = time.monotonic()
    while True:
        try:
            ended = airflow.run(DAG, run.id).state in ENDED
            tasks = airflow.tasks(DAG, run.id)
            _show(airflow, run, tasks, told, board)
        except requests.RequestException:
            if time.monotonic() - heard > SILENT_SECONDS:
                raise
        else:
            heard = time.monotonic()
            if ended:
                return _outcome(airflow, run, tasks)
        time.sleep(0.4)


def _show(airflow: Airflow, run: Run, tasks: dict[str, Task], told: dict[str, Any], board: Board) -> None:
    for name in STEPS:
        task = tasks.get(name)
        if task is None or task.state is None:
            continue
        if task.state == "success" and name not in told:
            answer = airflow.answer(DAG, run.id, name)
            told[name] = answer.get("message", "") if isinstance(answer, dict) else ""
        retry = f"attempt {task.attempt} did not work, trying again" if task.state == "up_for_retry" else ""
        board.set(name, STATES.get(task.state, "waiting"), told.get(name, retry), task.seconds)


def _outcome(airflow: Airflow, run: Run, tasks: dict[str, Task]) -> Outcome:
    failed = next((tasks[name] for name in STEPS if name in tasks and tasks[name].state == "failed"), None)
    if failed is None:
        return Outcome(ok=airflow.run(DAG, run.id).state == "success")
    return Outcome(False, failed.name, tuple(airflow.log(DAG, run.id, failed)[-LOG_LINES:]))
