"""The DAGs for changes by people: their form, and how runs go with small steps in place of the real ones."""

import json
import subprocess
import sys
import warnings
from datetime import UTC, datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location

import pytest
from airflow.sdk.exceptions import ParamValidationError
from airflow.triggers.base import BaseTrigger, TriggerEvent

from dags import task_defaults
from pipeline import steps
from pipeline.errors import ChangeRefused, DeployFailed, ModelRefused, RegistryUnavailable
from tests.airflow_home import REPOSITORY
from tests.dags.test_car_price_daily import HEAVY

pytestmark = [
    # Airflow 3.3 warns about its own code on every path.
    pytest.mark.filterwarnings("ignore"),
]

FILE = REPOSITORY / "dags" / "car_price_release.py"
BAKE = {"version": 3, "digest": "d" * 64, "deadline": "2026-11-22T12:00:00+00:00", "limits": {"max_error_rate": 0.1}}
ROLLBACK = {"action": "rollback", "reason": "prices are off"}
CANARY = {"action": "canary", "reason": "try it", "version": 3, "share": 0.2, "then": "promote"}


@pytest.fixture(scope="module")
def release():
    """The DAG's file, imported anew, as Airflow's path lets it."""
    import airflow.settings

    airflow.settings.prepare_syspath_for_config_and_plugins()
    spec = spec_from_file_location("car_price_release_file", FILE)
    found = module_from_spec(spec)
    sys.modules[spec.name] = found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec.loader.exec_module(found)
    return found


@pytest.fixture
def dag(release):
    return release.car_price_release()


@pytest.fixture
def alias(release):
    return release.car_price_alias()


def test_its_tasks(dag):
    """The change, then the bake, then what follows from it."""
    assert [task.task_id for task in dag.topological_sort()] == ["change", "bake", "conclude"]
    assert all(task.doc_md for task in dag.tasks)


def test_a_long_bake_stops_nobody(dag):
    """Runs overlap, none waits for a person to unpause it, and the longest bake fits into a run."""
    assert (dag.schedule, dag.is_paused_upon_creation) == (None, False)
    assert dag.max_active_runs >= 8
    longest = timedelta(minutes=dag.params.get_param("bake_minutes").schema["maximum"])
    assert dag.dagrun_timeout > longest + timedelta(hours=1)
    assert dag.get_task("bake").execution_timeout is None


@pytest.mark.parametrize(
    "form",
    [
        {"action": "delete"},
        {"action": None},
        {"reason": ""},
        {"reason": "  \t"},
        {"reason": None},
        {"reason": "x" * 501},
        {"version": 0},
        {"version": "3"},
        {"version": 1.5},
        {"share": 0},
        {"share": 0.51},
        {"share": None},
        {"bake_minutes": 0},
        {"bake_minutes": 8 * 24 * 60},
        {"max_error_rate": 1.1},
        {"max_latency_ratio": 0.9},
        {"max_answer_drift": -1},
        {"least_requests": 0},
        {"then": "perhaps"},
    ],
)
def test_the_form_refuses_what_is_out_of_bounds(dag, form):
    """Before a run begins."""
    ((name, value),) = form.items()
    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve(value)


@pytest.mark.parametrize("name", ["action", "reason"])
def test_action_and_reason_must_be_given(dag, name):
    """There is no action that is done by mistake."""
    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve()


def test_the_rest_has_defaults(dag):
    """Every field explains itself; a canary has limits unless somebody takes them away."""
    found = {name: dag.params.get_param(name) for name in dag.params}
    assert all(each.schema["title"] and each.description for each in found.values())
    given = {name: each.resolve() for name, each in found.items() if name not in ("action", "reason")}
    assert given["version"] is None
    assert (given["share"], given["bake_minutes"], given["least_requests"], given["then"]) == (0.1, 30, 200, "keep")
    assert [given[name] for name in ("max_error_rate", "max_latency_ratio", "max_answer_drift")] == [0.01, 1.5, 0.1]


def test_the_form_has_the_actions_that_there_are(release):
    """All of them and no others."""
    from typing import get_args

    from pipeline.asked_change import Action

    assert list(get_args(Action)) == release.ACTIONS


def test_the_alias_is_watched(alias):
    """The run comes when the triggerer tells of a move, one at a time, and the DAG need not be unpaused."""
    (asset,) = alias.schedule
    (watcher,) = asset.watchers
    assert watcher.trigger.serialize()[0] == "gavel_triggers.AliasTrigger"
    assert (alias.max_active_runs, alias.is_paused_upon_creation) == (1, False)


def test_airflow_takes_both_dags():
    """Read by Airflow's own processor, with the plugins folder on the path and no import errors; quick and light."""
    code = f"""
import json, sys, time, runpy, warnings
warnings.simplefilter("ignore")
from airflow import settings
settings.initialize()
from airflow.sdk import Asset, AssetWatcher, BaseOperator, ExceptionRetryPolicy, Param, conf, dag, task
import airflow.triggers.base
sys.path.insert(0, {str(REPOSITORY)!r})
before = set(sys.modules)
start = time.process_time()
runpy.run_path({str(FILE)!r}, run_name="parsed")
seconds, imported = time.process_time() - start, sorted(set(sys.modules) - before)
from airflow.dag_processing.dagbag import DagBag
bag = DagBag({str(FILE)!r})
from airflow.serialization.serialized_objects import DagSerialization
for found in bag.dags.values():
    DagSerialization.from_dict(DagSerialization.to_dict(found))
print(json.dumps([seconds, imported, sorted(bag.dags), bag.import_errors]))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout
    seconds, imported, dags, errors = json.loads(out.splitlines()[-1])
    assert (dags, errors) == (["car_price_alias", "car_price_release"], {})
    assert not {name.partition(".")[0] for name in imported} & set(HEAVY)
    assert seconds <= 0.5


class Calls:
    """Small steps in place of the real ones; ``fail`` has what a step raises, one after the other."""

    def __init__(self, monkeypatch, bake=None):
        self.made, self.given, self.fail = [], {}, {}
        for name, answer in {
            "change": {"generation": 4, "message": "done", "bake": bake},
            "conclude": {"generation": 5, "message": "concluded", "bake": None},
            "follow_alias": {"message": "version 3 is live", "moved": 3, "live": True},
        }.items():
            monkeypatch.setattr(steps, name, self._step(name, answer))

    def _step(self, name, answer):
        def call(settings, *arguments):
            self.made.append(name)
            self.given[name] = arguments
            if errors := self.fail.get(name):
                raise errors.pop(0)
            return answer

        return call


class Told(BaseTrigger):
    """In place of the watcher: tells at once what ``verdict`` is, or fails."""

    verdict: dict | None = None

    def __init__(self, **state):
        super().__init__()
        self.state = state

    def serialize(self):
        return f"{__name__}.Told", self.state

    async def run(self):
        if self.verdict is None:
            raise ValueError("a setting is wrong")
        yield TriggerEvent(self.verdict)


@pytest.fixture
def verdict(release, monkeypatch):
    def tell(found):
        monkeypatch.setattr(Told, "verdict", found)
        monkeypatch.setattr(release, "BakeTrigger", Told)

    return tell


def run(dag, form=None):
    """One run to its end; the state of the run and of each task."""
    for task in dag.tasks:
        task.retry_delay = timedelta(0)
        task.retry_exponential_backoff = 0
    ended = dag.test(run_conf=form or {}, logical_date=None)
    return ended.state, {ti.task_id: ti.state for ti in ended.get_task_instances()}


@pytest.mark.usefixtures("tables")
class TestRuns:
    def test_a_change_without_a_bake(self, dag, monkeypatch):
        """One call with the form and who asks; there is nothing to be watched."""
        calls = Calls(monkeypatch)
        state, tasks = run(dag, ROLLBACK)
        assert (state, tasks) == ("success", {"change": "success", "bake": "skipped", "conclude": "skipped"})
        form, who = calls.given["change"]
        assert calls.made == ["change"]
        assert (form["action"], form["reason"], form["version"]) == ("rollback", "prices are off", None)
        assert (who["kind"], who["name"]) == ("person", "dag_test")
        assert who["url"].startswith("http://127.0.0.1:8080/dags/car_price_release/runs/manual__")

    def test_a_canary_is_watched_and_concluded(self, dag, monkeypatch, verdict):
        """The verdict of the watcher goes to the step that concludes, with the form."""
        calls = Calls(monkeypatch, BAKE)
        verdict({"end": "good", "text": "within all limits"})
        state, tasks = run(dag, CANARY)
        assert (state, set(tasks.values()), calls.made) == ("success", {"success"}, ["change", "conclude"])
        form, bake, found, who = calls.given["conclude"]
        assert (form["then"], bake, found) == ("promote", BAKE, {"end": "good", "text": "within all limits"})
        assert who == calls.given["change"][1]

    def test_a_breach_makes_the_run_red(self, dag, monkeypatch, verdict):
        """Once: it is not tried again."""
        calls = Calls(monkeypatch, BAKE)
        verdict({"end": "breach", "text": "it fails"})
        calls.fail["conclude"] = [ModelRefused("version 3 was taken back and is quarantined: it fails")] * 9
        state, tasks = run(dag, CANARY)
        assert (state, tasks["bake"], tasks["conclude"]) == ("failed", "success", "failed")
        assert calls.made == ["change", "conclude"]

    def test_a_bake_that_nobody_can_watch_is_concluded_too(self, dag, monkeypatch, verdict):
        """The step is called without a verdict, and ends the trial."""
        calls = Calls(monkeypatch, BAKE)
        verdict(None)
        calls.fail["conclude"] = [ModelRefused("nobody watched")]
        state, tasks = run(dag, CANARY)
        assert (state, tasks["bake"], tasks["conclude"]) == ("failed", "failed", "failed")
        assert calls.given["conclude"][2] is None

    @pytest.mark.parametrize("error", [ChangeRefused("name the version"), ModelRefused("damaged"), ZeroDivisionError()])
    def test_what_is_refused_fails_at_once(self, dag, monkeypatch, error):
        """The run is red, nothing is watched or concluded."""
        calls = Calls(monkeypatch)
        calls.fail["change"] = [error] * 9
        state, tasks = run(dag, ROLLBACK)
        assert state == "failed"
        assert tasks == {"change": "failed", "bake": "upstream_failed", "conclude": "upstream_failed"}
        assert calls.made == ["change"]

    def test_what_is_away_is_tried_again(self, dag, monkeypatch):
        """Until it is back."""
        calls = Calls(monkeypatch)
        calls.fail["change"] = [DeployFailed("a replica is away"), RegistryUnavailable("MLflow is away")]
        assert run(dag, ROLLBACK)[0] == "success"
        assert calls.made == ["change"] * 3

    def test_a_form_that_is_not_filled_in_starts_nothing(self, dag, monkeypatch):
        """Neither action nor reason may be missing."""
        calls = Calls(monkeypatch)
        for form in ({}, {"action": "rollback"}, {"reason": "because"}):
            with pytest.raises(ParamValidationError):
                run(dag, form)
        assert calls.made == []

    def test_a_bad_setting_is_said_in_one_sentence(self, dag, monkeypatch):
        """And is not tried again."""
        calls = Calls(monkeypatch)
        monkeypatch.setenv("GAVEL_SERVING_URL", "http://127.0.0.1:8000")
        state, tasks = run(dag, ROLLBACK)
        assert (state, tasks["change"], calls.made) == ("failed", "failed", [])

    def test_the_alias_is_followed(self, alias, monkeypatch):
        """One call, with the address of the run; what is away is tried again."""
        calls = Calls(monkeypatch)
        calls.fail["follow_alias"] = [RegistryUnavailable("MLflow is away")]
        state, tasks = run(alias)
        assert (state, tasks, calls.made) == ("success", {"follow": "success"}, ["follow_alias"] * 2)
        assert calls.given["follow_alias"][0].startswith("http://127.0.0.1:8080/dags/car_price_alias/runs/")


def test_who_asks(release, monkeypatch):
    """A person by name; a run by its key where Airflow knows of nobody."""
    from types import SimpleNamespace

    for name, expected in [("anna", ("person", "anna")), (None, ("dag", "car_price_release/r 1"))]:
        one = SimpleNamespace(dag_id="car_price_release", run_id="r 1", triggering_user_name=name)
        for module in (release, task_defaults):
            monkeypatch.setattr(module, "get_current_context", lambda one=one: {"dag_run": one})
        who = release.actor()
        assert (who["kind"], who["name"]) == expected
        assert who["url"].endswith("/dags/car_price_release/runs/r%201")


def test_the_bake_is_given_up_when_nobody_watches(release, monkeypatch):
    """A quarter of an hour after its deadline, also when that is long over."""
    from airflow.sdk.exceptions import TaskDeferred

    monkeypatch.setattr(release, "BakeTrigger", Told)
    for minutes, least, most in ((60, 74, 76), (-600, 14, 16)):
        deadline = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
        ti = type(
            "Ti", (), {"xcom_pull": lambda self, deadline=deadline, **_: {"bake": {**BAKE, "deadline": deadline}}}
        )
        with pytest.raises(TaskDeferred) as deferred:
            release.Bake(task_id="bake").execute({"ti": ti()})
        assert timedelta(minutes=least) < deferred.value.timeout < timedelta(minutes=most)
        assert deferred.value.method_name == "ended"
