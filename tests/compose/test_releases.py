"""People change what is live: back by Airflow's form, on by the alias in MLflow, and a canary that is taken back."""

import json

import pytest

from local.airflow_client import ENDED
from tests.compose.days import MODEL, all_serve, assert_all_well, patient
from tests.compose.load import direct
from tests.compose.stack import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1200)]

DAG, SECONDS = "car_price_release", 300


def ended(days, run):
    """The run of the form when it has ended."""

    def look():
        seen = patient(lambda: days.airflow.run(DAG, run.id))
        return seen if seen.state in ENDED else None

    return wait_for(look, SECONDS, lambda: days.airflow.tasks(DAG, run.id))


def changed(days, **form):
    """What the form's change came to."""
    run = days.airflow.trigger(DAG, form)
    assert ended(days, run).state == "success", days.airflow.tasks(DAG, run.id)
    return days.airflow.answer(DAG, run.id, "change")["message"]


def move_alias(stack, version):
    """As the page of MLflow does it."""
    alias = {"name": MODEL, "alias": "champion", "version": str(version)}
    with direct() as session:
        answer = session.post(f"{stack.url('mlflow')}/api/2.0/mlflow/registered-models/alias", json=alias, timeout=60)
    assert answer.ok, answer.text


def commanded(stack, *words):
    """What the command comes to that the how-to names."""
    command = ["with-secrets", "python", "-m", "pipeline.releases", *map(str, words), "--reason", "a test", "--json"]
    return json.loads(stack.compose("exec", "-T", "-e", "USER=anna", "airflow-scheduler", *command))["message"]


def test_back_by_the_form_and_on_by_the_alias_without_a_failed_request(live, days):
    """Every replica follows both, every answer is of the version it names, and the ledger is whole."""
    state = days.state()
    newest = state["champion"][0]
    with days.client(state).asking() as tally:
        said = changed(days, action="rollback", reason="prices are off")
        assert said == f"version {newest - 1} is live again, version {newest} is quarantined"
        back = days.state()
        changed(days, action="release from quarantine", reason="it was the data")
        move_alias(live, newest)
        on = wait_for(lambda: all_serve(days.state(), newest) and days.state(), SECONDS, "the alias is not followed")
    assert all_serve(back, newest - 1), back["replicas"]
    assert (on["quarantined"], on["ledger"]) == ([], [])
    assert (days.facts(on).champion, days.facts(on).channel) == (newest, newest)
    assert {answer.version for answer in tally.answers} == {newest - 1, newest}
    assert_all_well(tally, on)


def test_a_canary_beyond_its_limit_is_taken_back_on_every_replica(live, days):
    """By the triggerer, long before the bake's end; the run is red, and the champion was the champion all the time."""
    state = days.state()
    newest = state["champion"][0]
    changed(days, action="rollback", reason="to try the newer one beside it")
    changed(days, action="release from quarantine", reason="to try it")
    form = {"action": "canary", "version": newest, "reason": "try it", "share": 0.5, "bake_minutes": 30}
    limits = {"max_error_rate": None, "max_latency_ratio": None, "max_answer_drift": 0.0, "least_requests": 20}
    with days.client(state).asking() as tally:
        run = days.airflow.trigger(DAG, {**form, **limits})
        assert ended(days, run).state == "failed"
    after = days.state()
    assert (after["quarantined"], after["ledger"]) == ([newest], [])
    assert all_serve(after, newest - 1), after["replicas"]
    assert_all_well(tally, after)
    assert {answer.version for answer in tally.answers} == {newest - 1, newest}

    commanded(live, "release-quarantine", newest)
    assert commanded(live, "promote", newest) == f"version {newest} is live"
    assert all_serve(days.state(), newest)
