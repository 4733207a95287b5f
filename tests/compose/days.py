"""Data days through the DAG of a stack, and what came of them in the registry and the release store.

Not here: the containers (``stack.py``), requests meanwhile (``load.py``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import requests

from local.airflow_client import ENDED, Airflow, Run
from pipeline import datasets
from pipeline.sources import open_source
from tests.compose.load import Client, Tally, direct
from tests.compose.stack import Stack, wait_for

DAG, MODEL, USER = "car_price_daily", "car_price", "admin"
WINDOW_DAYS, SEED, NEEDED_DAYS = 8, 7, 6
RUN_SECONDS = 600


def printed_password(stack: Stack) -> str:
    found = re.search(rf"log in as {USER} with the password (\S+)", stack.compose("logs", "--no-log-prefix", "login"))
    assert found, "the service `login` says no password"
    return found[1]


def days_with_sales() -> list[date]:
    """The newest days of the simulated source that have many sales, the oldest first."""
    today = datetime.now(UTC).date()
    source = open_source("simulated:", datasets.load("car_auctions"), seed=SEED, today=today)
    days = (today - timedelta(days=back) for back in range(1, 60))
    found = [day for day in days if len(source.read(day)) > 100]
    return sorted(found[:NEEDED_DAYS])


def patient(call: Callable[[], Any], seconds: float = 180) -> Any:
    """The API's answer, also when it is being started again."""
    trouble: list[Exception] = []

    def look() -> list[Any] | None:
        try:
            return [call()]
        except requests.RequestException as error:
            trouble[:] = [error]
            return None

    return wait_for(look, seconds, lambda: trouble)[0]


@dataclass(frozen=True)
class Facts:
    """What must never be lost: versions with their fingerprints and aliases, the channel, releases with their digests."""

    versions: Mapping[int, str]
    champion: int | None
    channel: int | None
    releases: Mapping[int, str]


@dataclass
class Days:
    """Runs of the DAG for one day after another."""

    stack: Stack
    airflow: Airflow = field(init=False)
    waiting: Iterator[date] = field(init=False)

    def __post_init__(self) -> None:
        self.waiting = iter(days_with_sales())
        self.log_in()

    def log_in(self) -> None:
        self.airflow = Airflow(self.stack.url("airflow"), USER, printed_password(self.stack))
        patient(self.airflow.log_in)

    def unpause(self) -> None:
        """Let the DAG run; the run that the scheduler then makes by itself is for nobody and is ended at once."""
        patient(lambda: self.airflow.knows(DAG) or _raise(requests.RequestException(f"{DAG} is not known")))
        due = self.airflow.next_run(DAG)
        self.airflow.unpause(DAG)
        if due is not None and due <= datetime.now(UTC):
            (own,) = wait_for(lambda: self.airflow.waiting_runs(DAG), 120, "the scheduler's own run")
            self.airflow._call("PATCH", f"/api/v2/dags/{DAG}/dagRuns/{own.id}", json={"state": "success"})

    def start(self) -> Run:
        """The next day is triggered; it learns from few days and goes live whatever the gate says."""
        day = next(self.waiting).isoformat()
        conf = {"day": day, "window_days": WINDOW_DAYS, "force_reason": "a test"}
        asked = {"dag_run_id": f"test-{day}", "logical_date": None, "conf": conf}
        return patient(lambda: self._trigger(asked))

    def _trigger(self, asked: dict[str, Any]) -> Run:
        """Once, also when the answer is lost and it is asked for again."""
        try:
            self.airflow._call("POST", f"/api/v2/dags/{DAG}/dagRuns", json=asked)
        except requests.HTTPError as error:
            if error.response.status_code != requests.codes.conflict:
                raise
        return self.airflow.run(DAG, asked["dag_run_id"])

    def finish(self, run: Run, watch: Callable[[dict[str, Any]], None] = lambda _: None) -> Run:
        """The run when it has ended, green; ``watch`` sees its tasks again and again meanwhile."""

        def look() -> Run | None:
            tasks = patient(lambda: self.airflow.tasks(DAG, run.id))
            watch(tasks)
            seen = patient(lambda: self.airflow.run(DAG, run.id))
            return seen if seen.state in ENDED else None

        ended = wait_for(look, RUN_SECONDS, lambda: self.airflow.tasks(DAG, run.id))
        assert ended.state == "success", self.trouble(ended)
        return ended

    def trouble(self, run: Run) -> str:
        failed = [task for task in self.airflow.tasks(DAG, run.id).values() if task.state == "failed"]
        return "\n".join(
            f"{task.name}: {line}" for task in failed for line in self.airflow.log(DAG, run.id, task)[-20:]
        )

    def hosts(self, run: Run) -> dict[str, str]:
        """On which container each task of the run last was."""
        found = self.airflow._call("GET", f"/api/v2/dags/{DAG}/dagRuns/{run.id}/taskInstances")["task_instances"]
        return {each["task_id"]: each["hostname"] for each in found}

    def history(self) -> dict[str, str]:
        """Every run that there was, and how it ended."""
        found = self.airflow._call("GET", f"/api/v2/dags/{DAG}/dagRuns")["dag_runs"]
        return {each["dag_run_id"]: each["state"] for each in found}

    def facts(self, state: Mapping[str, Any] | None = None) -> Facts:
        versions = self._registry("model-versions/search", filter=f"name='{MODEL}'").get("model_versions", [])
        aliases = self._registry("registered-models/get", name=MODEL)["registered_model"].get("aliases", [])
        state = state or self.state()
        prints = {int(v["version"]): t["value"] for v in versions for t in v["tags"] if t["key"] == "fingerprint"}
        assert len(prints) == len(versions)
        assert state["whole"]
        return Facts(
            prints,
            next((int(a["version"]) for a in aliases if a["alias"] == "champion"), None),
            state["champion"] and state["champion"][0],
            {int(version): found[0] for version, found in state["releases"].items()},
        )

    def state(self) -> dict[str, Any]:
        """What the script says; it takes some seconds."""
        return self.stack.inside("state.py")

    def _registry(self, path: str, **query: str) -> dict[str, Any]:
        url = f"{self.stack.url('mlflow')}/api/2.0/mlflow/{path}"
        with direct() as session:
            answer = session.get(url, params=query, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    def client(self, state: Mapping[str, Any] | None = None) -> Client:
        row = (state or self.state())["row"]
        return Client(self.stack.url("serving"), self.stack.secrets()["key_client"], row)


def _raise(error: Exception) -> None:
    raise error


def all_serve(state: Mapping[str, Any], version: int, replicas: int = 2) -> bool:
    """Does every replica, and as many as there ought to be, answer with that version?"""
    found = state["replicas"]
    return len(found) == replicas and all(each.get("ready") and each["version"] == version for each in found)


def assert_all_well(tally: Tally, state: Mapping[str, Any]) -> None:
    """No request failed, and every answer is what the version that it names really says."""
    assert tally.failed == []
    assert tally.asked > 20
    for answer in tally.answers:
        digest, _, price = state["releases"][str(answer.version)]
        assert answer.digest == digest
        assert math.isclose(answer.price, price, rel_tol=1e-6), answer


def assert_grown_by_one(before: Facts, after: Facts) -> None:
    """One version more, live everywhere it is written down; nothing that was there is lost or changed."""
    newest = max(before.versions, default=0) + 1
    assert sorted(after.versions) == list(range(1, newest + 1))
    assert len(set(after.versions.values())) == newest, "one model under two versions"
    assert sorted(after.releases) == sorted(after.versions)
    assert (after.champion, after.channel) == (newest, newest)
    assert before.versions.items() <= after.versions.items()
    assert before.releases.items() <= after.releases.items()
