"""Is it up? Real questions to each service, asked until all say yes. Not here: starting them (``start.py``)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import requests

from local.airflow_client import Airflow
from local.board import Board
from local.errors import CannotRun
from local.supervisor import Supervisor

PATIENCE_SECONDS = 400
TAIL_LINES = 15
COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


@dataclass(frozen=True, slots=True)
class Check:
    """``question`` says whether what ``programs`` do together is up; it may raise when nobody answers."""

    name: str
    programs: tuple[str, ...]
    question: Callable[[], bool]
    url: str


def answers(url: str) -> bool:
    session = requests.Session()
    session.trust_env = False
    return session.get(url, timeout=5).ok


def airflow_is_up(airflow: Airflow, dag: str, since: datetime) -> bool:
    """All components have a heartbeat after ``since`` (an older one is of the last run), and the DAG is read.

    Raises:
        CannotRun: the DAG's file cannot be read.
    """
    health = airflow.health()
    if not all(_beats(health.get(name, {}), since) for name in COMPONENTS):
        return False
    airflow.log_in()
    if problem := airflow.import_error(dag):
        raise CannotRun(f"Airflow cannot read the DAG {dag}:\n{problem}")
    airflow.warm()
    return airflow.knows(dag)


def _beats(component: Mapping[str, str | None], since: datetime) -> bool:
    beats = [value for name, value in component.items() if name.startswith("latest_") and value]
    fresh = all(datetime.fromisoformat(beat).astimezone(UTC) >= since for beat in beats)
    return component.get("status") == "healthy" and fresh


class Watch:
    """Waits for checks; a program that dies meanwhile ends the waiting with the last lines of its log."""

    def __init__(self, supervisor: Supervisor, logs: Path, board: Board) -> None:
        self.supervisor = supervisor
        self.logs = logs
        self.board = board
        self.pids: dict[str, int] = {}

    def wait(self, checks: list[Check]) -> None:
        """Raises ``CannotRun`` when a program dies or the patience ends."""
        open_checks = list(checks)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while open_checks:
            self._look_for_the_dead(open_checks)
            open_checks = [check for check in open_checks if not self._asked(check)]
            if open_checks and time.monotonic() > deadline:
                raise self._failed(open_checks[0].programs[0], f"is not up after {PATIENCE_SECONDS} s")
            time.sleep(0.2)

    def _asked(self, check: Check) -> bool:
        try:
            up = check.question()
        except requests.RequestException:
            return False
        if up:
            self.board.set(check.name, "done", check.url)
        return up

    def _look_for_the_dead(self, checks: list[Check]) -> None:
        programs = self.supervisor.programs()
        for check in checks:
            for name in check.programs:
                before = self.pids.setdefault(name, programs[name].pid)
                if programs[name].dead or (before and programs[name].pid not in (before, 0)):
                    self.board.set(check.name, "failed")
                    raise self._failed(name, "ended while starting")

    def _failed(self, program: str, what: str) -> CannotRun:
        log = self.logs / f"{program}.log"
        return CannotRun(f"{program} {what}; the last lines of {log}:\n{tail(log)}")


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, indented."""
    if not log.exists():
        return "  (no log)"
    return "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])
