"""What is asked of Airflow's REST API, and how its answers are read."""

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests

from local.airflow_client import Airflow, Task

RUN = {"dag_run_id": "r", "state": "queued", "conf": {"day": "2015-06-01"}, "logical_date": None}
DATED = {"dag_run_id": "s", "state": "running", "conf": None, "logical_date": "2026-11-22T00:00:00Z"}


@pytest.fixture
def server():
    """Answers by method and path, and notes what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            path, _, query = self.path.partition("?")
            found.asked.append((self.command, path, query, body, self.headers.get("Authorization")))
            document = found.answers.get((self.command, path))
            self.send_response(404 if document is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        do_GET = do_POST = do_PATCH = answer  # noqa: N815

        def log_message(self, *_):
            pass

    found = HTTPServer(("127.0.0.1", 0), Handler)
    found.asked, found.answers = [], {("POST", "/auth/token"): {"access_token": "t"}}
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def airflow(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # is not asked
    client = Airflow(f"http://127.0.0.1:{server.server_port}", "admin", "secret")
    client.log_in()
    return client


def test_after_logging_in_the_token_goes_along(server, airflow):
    """The password only goes to one address."""
    server.answers["GET", "/api/v2/monitor/health"] = {"scheduler": {"status": "healthy"}}
    assert airflow.health() == {"scheduler": {"status": "healthy"}}
    assert server.asked[0][3] == {"username": "admin", "password": "secret"}
    assert server.asked[1][4] == "Bearer t"


def test_a_manual_run_has_no_logical_date(server, airflow):
    """Airflow wants the field all the same."""
    server.answers["POST", "/api/v2/dags/d/dagRuns"] = RUN
    assert airflow.trigger("d", {"day": "2015-06-01"}).day == "2015-06-01"
    assert server.asked[-1][3] == {"logical_date": None, "conf": {"day": "2015-06-01"}}


def test_runs_that_have_not_ended(server, airflow):
    """With the form's day, or the logical date."""
    server.answers["GET", "/api/v2/dags/d/dagRuns"] = {"dag_runs": [RUN, DATED]}
    manual, scheduled = airflow.waiting_runs("d")
    assert (manual.day, manual.logical_date) == ("2015-06-01", None)
    assert (scheduled.day, scheduled.logical_date) == (None, datetime(2026, 11, 22, tzinfo=UTC))
    assert server.asked[-1][2] == "state=queued&state=running"


def test_what_a_task_returned(server, airflow):
    """None where it returned nothing."""
    path = "/api/v2/dags/d/dagRuns/r/taskInstances/{}/xcomEntries/return_value"
    server.answers["GET", path.format("fetch")] = {"value": {"message": "3 rows"}}
    assert airflow.answer("d", "r", "fetch") == {"message": "3 rows"}
    assert airflow.answer("d", "r", "train") is None


def test_the_log_of_the_last_attempt(server, airflow):
    """As lines of text, with what was raised and why."""
    path = "/api/v2/dags/d/dagRuns/r/taskInstances/fetch/logs/2"
    raised = [{"exc_type": "DataInvalid", "exc_value": "no mmr"}, {"exc_type": "KeyError", "exc_value": "'mmr'"}]
    failed = {"event": "Task failed with exception", "error_detail": raised}
    server.answers["GET", path] = {
        "content": [{"event": "::group::Pre"}, {"event": "one", "level": "info"}, "two", failed]
    }
    said = airflow.log("d", "r", Task("fetch", "failed", 1.0, 2))
    assert said == ["one", "two", "Task failed with exception", "DataInvalid: no mmr", "KeyError: 'mmr'"]


def test_a_dag_that_is_not_there_yet(server, airflow):
    """Is no error: the DAG processor has not read it."""
    assert not airflow.knows("d")
    server.answers["GET", "/api/v2/dags/d"] = {"next_dagrun_logical_date": "2026-11-22T00:00:00Z"}
    assert airflow.knows("d")
    assert airflow.next_run("d") == datetime(2026, 11, 22, tzinfo=UTC)


def test_why_a_dag_cannot_be_read(server, airflow):
    """Only this DAG's file counts."""
    errors = [{"filename": "other.py", "stack_trace": "x"}, {"filename": "dags/d.py", "stack_trace": "SyntaxError"}]
    server.answers["GET", "/api/v2/importErrors"] = {"import_errors": errors}
    assert airflow.import_error("d") == "SyntaxError"
    server.answers["GET", "/api/v2/importErrors"] = {"import_errors": errors[:1]}
    assert airflow.import_error("d") is None


def test_errors_of_the_server_are_errors(airflow):
    """And say so."""
    with pytest.raises(requests.HTTPError, match="404"):
        airflow.health()
