"""Airflow's REST API, as far as the local run needs it. Not here: what is shown to people (``daily_run.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests

ENDED = ("success", "failed")
WAITING = ("queued", "running")


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a run. ``state`` is None before it is scheduled; ``seconds`` None before it has ended."""

    name: str
    state: str | None
    seconds: float | None
    attempt: int


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a DAG; ``day`` is what its form asked for, ``logical_date`` is None for a manual run."""

    id: str
    state: str
    day: str | None
    logical_date: datetime | None


class Airflow:
    """The API server at ``url``. Every method raises ``requests.RequestException`` when it does not answer."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of this machine does not know 127.0.0.1

    def log_in(self) -> None:
        token = self._call("POST", "/auth/token", json=self._login)["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def health(self) -> Mapping[str, Mapping[str, str | None]]:
        """The state of each component, with the time of its last heartbeat."""
        found: dict[str, dict[str, str | None]] = self._call("GET", "/api/v2/monitor/health")
        return found

    def warm(self) -> None:
        """Let the API for tasks build its routes, which takes some seconds at the first request."""
        self._call("GET", "/execution/health", timeout=60)

    def import_error(self, dag: str) -> str | None:
        """Why the DAG's file could not be read, if so."""
        errors = self._call("GET", "/api/v2/importErrors")["import_errors"]
        return next((e["stack_trace"] for e in errors if dag in (e["filename"] or "")), None)

    def knows(self, dag: str) -> bool:
        return self._session.get(f"{self.url}/api/v2/dags/{dag}", timeout=10).ok

    def next_run(self, dag: str) -> datetime | None:
        """The logical date of the next scheduled run; one in the past is made as soon as the DAG is not paused."""
        found = self._call("GET", f"/api/v2/dags/{dag}")["next_dagrun_logical_date"]
        return datetime.fromisoformat(found) if found else None

    def unpause(self, dag: str) -> None:
        self._call("PATCH", f"/api/v2/dags/{dag}", params={"update_mask": "is_paused"}, json={"is_paused": False})

    def trigger(self, dag: str, conf: Mapping[str, Any]) -> Run:
        """A manual run now, without a logical date."""
        return _run(self._call("POST", f"/api/v2/dags/{dag}/dagRuns", json={"logical_date": None, "conf": conf}))

    def waiting_runs(self, dag: str) -> list[Run]:
        """The runs that have not ended."""
        found = self._call("GET", f"/api/v2/dags/{dag}/dagRuns", params={"state": WAITING})
        return [_run(run) for run in found["dag_runs"]]

    def run(self, dag: str, run: str) -> Run:
        return _run(self._call("GET", f"/api/v2/dags/{dag}/dagRuns/{run}"))

    def tasks(self, dag: str, run: str) -> dict[str, Task]:
        found = self._call("GET", f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
        return {t["task_id"]: Task(t["task_id"], t["state"], t["duration"], t["try_number"]) for t in found}

    def answer(self, dag: str, run: str, task: str) -> Any:
        """What the task returned; None when it returned nothing."""
        path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value"
        response = self._session.get(self.url + path, params={"deserialize": "false"}, timeout=10)
        return response.json()["value"] if response.ok else None

    def log(self, dag: str, run: str, task: Task) -> list[str]:
        """The lines of the task's last attempt, with what was raised, without Airflow's own headings."""
        path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task.name}/logs/{task.attempt}"
        content = self._call("GET", path, params={"full_content": "true"})["content"]
        return [text for line in content for text in _log_lines(line) if not text.startswith("::")]

    def _call(self, method: str, path: str, *, timeout: float = 10, **arguments: Any) -> Any:
        response = self._session.request(method, self.url + path, timeout=timeout, **arguments)
        response.raise_for_status()
        return response.json()


def _log_lines(line: Any) -> list[str]:
    """A structured line as text: what happened, then each exception from the last raised to its cause."""
    if not isinstance(line, dict):
        return [str(line)]
    raised = [f"{error['exc_type']}: {error['exc_value']}" for error in line.get("error_detail") or []]
    return [line["event"], *raised]


def _run(document: Mapping[str, Any]) -> Run:
    date = document["logical_date"]
    return Run(
        id=document["dag_run_id"],
        state=document["state"],
        day=(document["conf"] or {}).get("day"),
        logical_date=datetime.fromisoformat(date) if date else None,
    )
