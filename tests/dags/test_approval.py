"""With GAVEL_APPROVAL a person agrees between gate and deploy; without it there is no such task."""

import sys
import warnings
from datetime import UTC, datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowSkipException, TaskAwaitingInput

from dags import approval
from pipeline import registry, steps
from tests.airflow_home import REPOSITORY
from tests.dags.test_car_price_daily import STEPS, Calls, run

pytestmark = [
    # Airflow 3.3 warns about its own code on every path.
    pytest.mark.filterwarnings("ignore"),
]


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def asking():
    """The file as Airflow reads it where approvals are asked for."""
    spec = spec_from_file_location("car_price_daily_asking", REPOSITORY / "dags" / "car_price_daily.py")
    found = module_from_spec(spec)
    sys.modules[spec.name] = found
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setenv("GAVEL_APPROVAL", "true")
        spec.loader.exec_module(found)
    return found


@pytest.fixture
def dag(asking):
    return asking.car_price_daily()


def test_without_the_setting_nobody_is_asked(module):
    """No task is there that would wait."""
    assert module.car_price_daily().task_ids == STEPS


def test_with_the_setting_a_person_is_asked_between_gate_and_deploy(dag):
    """With the certificate before their eyes, until the next day's run comes; no answer is a refusal."""
    task = dag.get_task("approval")
    assert task.upstream_task_ids == {"gate"}
    assert "approval" in dag.get_task("deploy").upstream_task_ids
    assert dag.get_task("note_approval").upstream_task_ids == {"deploy", "register"}
    assert task.body == "{{ ti.xcom_pull(task_ids='gate')['markdown'] }}"
    assert (task.defaults, task.execution_timeout) == (["Reject"], None)
    assert task.response_timeout < timedelta(days=1) < dag.dagrun_timeout + timedelta(hours=2)
    assert dag.dagrun_timeout > task.response_timeout
    assert task.doc_md


def test_the_certificate_is_what_a_person_sees(dag, monkeypatch):
    """The subject names the version, the body is the certificate; then the task waits without a worker."""
    from airflow.providers.standard.operators import hitl

    shown = {}
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **detail: shown.update(detail))
    answers = {"gate": {"passed": True, "markdown": "### Certificate\n| a | b |"}, "register": {"version": 4}}
    ti = SimpleNamespace(id="t", xcom_pull=lambda task_ids: answers[task_ids])
    task = dag.get_task("approval")
    task.render_template_fields({"ti": ti})
    with pytest.raises(TaskAwaitingInput):
        task.execute({"ti": ti, "task_instance": ti})
    assert shown["subject"] == "Shall version 4 of the price model go live?"
    assert shown["body"] == "### Certificate\n| a | b |"
    assert list(shown["params"]) == ["reason"]


def test_nobody_is_asked_about_what_the_gate_refused(dag):
    """The task is skipped, and deploy with it."""
    ti = SimpleNamespace(xcom_pull=lambda task_ids: {"passed": False})
    with pytest.raises(AirflowSkipException, match="nothing to approve"):
        dag.get_task("approval").execute({"ti": ti})


@pytest.mark.usefixtures("tables")
def test_a_run_whose_model_is_refused_ends_well(dag, monkeypatch):
    """Nobody is asked, nothing is noted."""
    monkeypatch.setattr(steps, "note_approval", lambda *given: pytest.fail("nobody was asked"))
    calls = Calls(monkeypatch, passed=False)
    state, tasks = run(dag)
    assert state == "success"
    assert {name for name, ended in tasks.items() if ended == "skipped"} == {"approval", "deploy", "note_approval"}
    assert "deploy" not in calls.made


ANNA = {"responded_by_user": {"id": "1", "name": "anna"}, "responded_at": NOW}
REFUSED = {"chosen_options": ["Reject"], "params_input": {"reason": "odd slices"}, **ANNA}
APPROVED = {"chosen_options": ["Approve"], "params_input": {}, **ANNA}
NOBODY = {"chosen_options": ["Reject"], "params_input": None, "responded_by_user": None, "responded_at": NOW}


@pytest.mark.parametrize(
    ("event", "noted"),
    [
        (REFUSED, {"approved": False, "name": "anna", "reason": "odd slices"}),
        (APPROVED, {"approved": True, "name": "anna", "reason": ""}),
        (NOBODY, {"approved": False, "name": "", "reason": ""}),
    ],
)
def test_who_answered_and_why_is_noted(dag, monkeypatch, event, noted):
    """With the version, whichever way it went: also after a refusal, when Airflow skips what comes next."""
    kept, given = {}, []
    task = dag.get_task("approval")
    monkeypatch.setattr(task, "skip", lambda **what: None)
    ti = SimpleNamespace(
        xcom_push=lambda key, value: kept.update({("approval", key): value}),
        xcom_pull=lambda task_ids, key: kept.get((task_ids, key)),
    )
    task.execute_complete({"ti": ti, "task": task}, event)
    monkeypatch.setattr(steps, "note_approval", lambda settings, *v, **rest: given.append((v, rest)) or {"message": ""})
    monkeypatch.setattr(approval, "get_current_context", lambda: {"ti": ti})
    dag.get_task("note_approval").python_callable({"version": 4})
    assert given == [((4,), noted)]


def test_no_answer_in_time_is_noted_as_that(monkeypatch):
    """A refusal by nobody."""
    from pipeline.settings import Settings

    tags = {}
    noted = SimpleNamespace(tag_version=lambda model, number, given: tags.update(given))
    monkeypatch.setattr(registry, "open_registry", lambda settings: noted)
    found = steps.note_approval(Settings(), 4, False, "", "")
    assert found["message"] == "version 4 was refused by nobody: no answer in time"
    assert tags == {"approval": "refused", "approval_by": "nobody answered in time"}
