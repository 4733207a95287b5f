"""People act on releases of the real local stack: back by the form, and on by the alias in MLflow."""

import contextlib
import json
import subprocess
import sys
import time
from datetime import date, timedelta

import pytest
import requests

from local.airflow_client import ENDED, Airflow
from local.layout import State
from tests.e2e.test_make_run import clone, free_ports, left_over, make  # noqa: F401  (clone is a fixture)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3000)]

DAY = date(2026, 3, 4)
MODEL = "car_price"
PATIENCE_SECONDS = 300


class Stack:
    """The stack of a clone: what is asked of each of its services."""

    def __init__(self, folder, ports):
        self.folder, self.state = folder, State(folder / ".gavel")
        self.names = [f"{name}={port}" for name, port in ports.items()]
        self.airflow_url, self.mlflow, self.serving = (f"http://127.0.0.1:{port}" for port in ports.values())
        self.airflow = None

    def train(self, day):
        assert make(self.folder, "run", f"DAY={day}", "SOURCE=simulated:", *self.names).returncode == 0
        keys = json.loads(self.state.keys_file.read_text())
        self.airflow = Airflow(self.airflow_url, "admin", keys["password"])
        self.airflow.log_in()

    def release(self, **form):
        """A run of the form to its end; its state and what was said."""
        run = self.airflow.trigger("car_price_release", form)
        until(lambda: self.airflow.run("car_price_release", run.id).state in ENDED)
        return self.airflow.run("car_price_release", run.id).state, self.airflow.answer(
            "car_price_release", run.id, "change"
        )

    def live(self):
        """The version that answers a request."""
        return self.ask(self.example())

    def ask_mlflow(self, method, path, **body):
        answer = requests.request(method, f"{self.mlflow}/api/2.0/mlflow/{path}", json=body, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    def alias(self):
        found = requests.get(
            f"{self.mlflow}/api/2.0/mlflow/registered-models/get", params={"name": MODEL}, timeout=10
        ).json()["registered_model"]
        return {each["alias"]: int(each["version"]) for each in found.get("aliases", ())}.get("champion")

    def move_alias(self, version):
        self.ask_mlflow("POST", "registered-models/alias", name=MODEL, alias="champion", version=str(version))

    def command(self, *arguments):
        """The document of the command that the how-to names."""
        said = subprocess.run(
            [".venv/bin/python", "-m", "local.releases", *arguments, "--json"],
            cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert said.returncode == 0, said.stderr
        return json.loads(said.stdout)

    def example(self):
        row = requests.get(f"{self.serving}/v1/schema", timeout=10).json()
        return {name: each["examples"][0] for name, each in row["properties"].items() if "examples" in each}

    def ask(self, row, sticky="anybody"):
        answer = requests.post(
            f"{self.serving}/v1/predict", json={"rows": [row]}, headers={"X-Gavel-Sticky": sticky}, timeout=10
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["version"]

    def shadowed(self):
        """How many requests the shadow has answered."""
        token = json.loads(self.state.keys_file.read_text())["push_token"]
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(f"{self.serving}/v1/variants", headers=headers, timeout=10).json()["shadow"]["requests"]

    def ledger(self):
        folder = self.state.store / "ledger" / MODEL
        return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def until(question):
    """Wait for it; how long it took."""
    started = time.monotonic()
    while time.monotonic() - started < PATIENCE_SECONDS:
        with contextlib.suppress(requests.RequestException):
            if question():
                return time.monotonic() - started
        time.sleep(0.1)
    raise AssertionError("it did not come about")


def say(text):
    sys.stdout.write(f"\n{text}\n")


@pytest.fixture(scope="module")
def stack(clone):  # noqa: F811
    """Versions 1 and 2, of two days, trained on small windows."""
    names = ("PORT_AIRFLOW", "PORT_MLFLOW", "PORT_SERVING")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAVEL_WINDOW_DAYS", "10")
        made = Stack(clone, dict(zip(names, free_ports(3), strict=True)))
        for day in (DAY, DAY + timedelta(days=1)):
            made.train(day)
        yield made
    subprocess.run(["make", "stop"], cwd=clone, check=False)
    assert left_over(clone) == []


def test_back_by_the_form(stack):
    """The old version answers, the one left is quarantined, and the ledger has the name and the reason."""
    assert stack.live() == 2
    started = time.monotonic()
    run = stack.airflow.trigger("car_price_release", {"action": "rollback", "reason": "prices are off"})
    took = until(lambda: stack.live() == 1)
    say(f"from the form to serving: {took:.1f} s")
    until(lambda: stack.airflow.run("car_price_release", run.id).state in ENDED)
    assert stack.airflow.run("car_price_release", run.id).state == "success"
    said = stack.airflow.answer("car_price_release", run.id, "change")
    assert said["message"] == "version 1 is live again, version 2 is quarantined"
    last = stack.ledger()[-1]
    assert (last["action"], last["why"], last["after"]["quarantined"]) == ("rollback", "prices are off", [2])
    assert (last["who"]["kind"], last["who"]["name"]) == ("person", "admin")
    assert last["who"]["url"].startswith(f"{stack.airflow_url}/dags/car_price_release/runs/")
    assert stack.alias() == 1
    assert time.monotonic() - started < PATIENCE_SECONDS


def test_a_quarantined_version_is_refused_and_the_alias_put_back(stack):
    """The version's tag says why; what is live stays live."""
    before = len(stack.ledger())
    stack.move_alias(2)
    say(f"from the move to the alias being back: {until(lambda: stack.alias() == 1):.1f} s")
    version = requests.get(
        f"{stack.mlflow}/api/2.0/mlflow/model-versions/get", params={"name": MODEL, "version": "2"}, timeout=10
    ).json()["model_version"]
    tags = {each["key"]: each["value"] for each in version["tags"]}
    assert "version 2 is quarantined" in tags["alias_refused"]
    assert (stack.live(), len(stack.ledger())) == (1, before)


def test_on_by_the_alias(stack):
    """Once it is released from quarantine, a move of the alias makes it live within seconds."""
    state, said = stack.release(action="release from quarantine", reason="it was the data")
    assert (state, said["message"]) == ("success", "version 2 may be live again")
    stack.move_alias(2)
    say(f"from the move to serving: {until(lambda: stack.live() == 2):.1f} s")
    until(lambda: stack.ledger()[-1]["who"]["kind"] == "alias")
    assert stack.ledger()[-1]["action"] == "promote"
    assert stack.alias() == 2


def test_a_canary_without_requests_is_kept_and_says_so(stack):
    """The triggerer watches it to the end of the window; too few requests came to tell."""
    stack.release(action="rollback", reason="once more")
    stack.release(action="release from quarantine", reason="to try it")
    run = stack.airflow.trigger(
        "car_price_release", {"action": "canary", "version": 2, "reason": "try it", "share": 0.5, "bake_minutes": 0.2}
    )
    until(lambda: stack.airflow.run("car_price_release", run.id).state in ENDED)
    assert stack.airflow.run("car_price_release", run.id).state == "success"
    said = stack.airflow.answer("car_price_release", run.id, "conclude")["message"]
    assert said.startswith("version 2 stays challenger: too few requests came to tell")
    assert stack.release(action="stop", reason="enough")[0] == "success"


def test_a_canary_that_breaks_a_limit_is_taken_back(stack):
    """By itself, within the bake; the run is red, the version quarantined."""
    form = {"action": "canary", "version": 2, "reason": "try it", "share": 0.5, "bake_minutes": 30}
    limits = {"max_error_rate": None, "max_latency_ratio": None, "max_answer_drift": 0.0, "least_requests": 30}
    run = stack.airflow.trigger("car_price_release", {**form, **limits})
    until(lambda: stack.ledger()[-1]["action"] == "canary")
    example = stack.example()

    def taken_back():
        for number in range(20):  # the same row for both: any difference is the model's
            stack.ask(example, str(number))
        return stack.airflow.run("car_price_release", run.id).state in ENDED

    say(f"from the canary to its end: {until(taken_back):.1f} s")
    assert stack.airflow.run("car_price_release", run.id).state == "failed"
    last = stack.ledger()[-1]
    assert (last["action"], last["who"]["kind"], last["after"]["quarantined"]) == ("rollback", "automatic", [2])
    assert "its mean answer is" in last["why"]
    assert (last["after"]["challenger"], stack.live()) == (None, 1)


def test_what_a_shadow_found_out_is_there_when_it_has_gone(stack):
    """It answers every request unseen; after its end the report holds both answers of each row against each other."""
    stack.command("release-quarantine", "2", "--reason", "to watch it")
    assert stack.command("shadow", "2", "--reason", "watch it")["changed"]
    example = stack.example()
    for number in range(60):
        assert stack.ask({**example, "odometer": 1000 * number}) == 1
    until(lambda: stack.shadowed() >= 60)
    stack.command("stop", "--reason", "seen enough")
    (kept,) = (stack.state.store / "pairs" / MODEL / "1-2").glob("*.json")
    assert json.loads(kept.read_text())["rows"] >= 60
    pairs = next(part for part in stack.command("report", "1", "2")["parts"] if part["name"] == "pairs")
    assert pairs["absent"] == ""
    assert all(min(figure["rows"]) >= 60 for figure in pairs["figures"])
    assert stack.command("verify")["problems"] == []
