"""Waiting until services are up: real answers, and a clear word when one dies."""

import io
from datetime import UTC, datetime, timedelta

import pytest
import requests
from rich.console import Console

from local import health
from local.board import Board
from local.errors import CannotRun
from local.health import Check, Watch, airflow_is_up, tail
from local.supervisor import Program

SINCE = datetime(2026, 11, 22, tzinfo=UTC)


class FakeSupervisor:
    """Answers with one picture after the other; the last one stays."""

    def __init__(self, *pictures):
        self.pictures = list(pictures)

    def programs(self):
        state, pid = self.pictures.pop(0) if len(self.pictures) > 1 else self.pictures[0]
        return {"mlflow": Program("mlflow", state, pid)}


def watch(tmp_path, *pictures):
    board = Board(Console(file=io.StringIO()), "Starting", ("MLflow",))
    return Watch(FakeSupervisor(*pictures), tmp_path, board), board


def answers(*values):
    """A question that is answered by these values in turn; an exception is raised."""
    left = list(values)

    def question():
        value = left.pop(0)
        if isinstance(value, Exception):
            raise value
        return value

    return question


def test_nobody_answers_at_first(tmp_path):
    """A refused connection is no answer yet, nor is a no."""
    watching, board = watch(tmp_path, ("STARTING", 5), ("RUNNING", 5))
    question = answers(requests.ConnectionError(), requests.Timeout(), False, True)
    watching.wait([Check("MLflow", ("mlflow",), question, "http://x")])
    assert (board.lines["MLflow"].state, board.lines["MLflow"].note) == ("done", "http://x")


@pytest.mark.parametrize("second", [("BACKOFF", 0), ("FATAL", 0), ("EXITED", 0), ("RUNNING", 6)])
def test_a_program_that_dies_ends_the_waiting(tmp_path, second):
    """With the last lines of its log, also when it has come back meanwhile."""
    (tmp_path / "mlflow.log").write_text("\n".join(f"line {i}" for i in range(40)))
    watching, _ = watch(tmp_path, ("STARTING", 5), second)
    with pytest.raises(CannotRun) as error:
        watching.wait([Check("MLflow", ("mlflow",), lambda: False, "http://x")])
    text = str(error.value)
    assert text.startswith(f"mlflow ended while starting; the last lines of {tmp_path}/mlflow.log:\n  line 25\n")
    assert text.endswith("line 39")


def test_patience_ends(tmp_path, monkeypatch):
    """With the name of what is not up."""
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0)
    watching, _ = watch(tmp_path, ("RUNNING", 5))
    with pytest.raises(CannotRun, match="mlflow is not up after 0 s"):
        watching.wait([Check("MLflow", ("mlflow",), lambda: False, "http://x")])


def test_the_tail_of_no_log(tmp_path):
    """The program died before it could write."""
    assert tail(tmp_path / "nothing.log") == "  (no log)"


class FakeAirflow:
    def __init__(self, *, beat=SINCE + timedelta(seconds=5), status="healthy", error=None, known=True):
        self.beat, self.status, self.error, self.known = beat, status, error, known
        self.warmed = False

    def health(self):
        component = {"status": self.status, "latest_scheduler_heartbeat": self.beat.isoformat()}
        beating = dict.fromkeys(("scheduler", "dag_processor", "triggerer"), component)
        return {"metadatabase": {"status": "healthy"}, **beating}

    def log_in(self):
        pass

    def import_error(self, dag):
        return self.error

    def warm(self):
        self.warmed = True

    def knows(self, dag):
        return self.known


def test_airflow_is_up_when_all_of_it_beats_and_knows_the_dag():
    """And its API for tasks is warm."""
    airflow = FakeAirflow()
    assert airflow_is_up(airflow, "d", SINCE)
    assert airflow.warmed


@pytest.mark.parametrize(
    "airflow",
    [FakeAirflow(beat=SINCE - timedelta(seconds=5)), FakeAirflow(status="unhealthy"), FakeAirflow(known=False)],
    ids=["heartbeat of the last run", "unhealthy", "DAG not read yet"],
)
def test_airflow_is_not_up_yet(airflow):
    """A heartbeat that was left over says nothing."""
    assert not airflow_is_up(airflow, "d", SINCE)


def test_a_dag_that_cannot_be_read_is_said_at_once():
    """With Airflow's own words."""
    with pytest.raises(CannotRun, match="cannot read the DAG d:\nSyntaxError"):
        airflow_is_up(FakeAirflow(error="SyntaxError"), "d", SINCE)
