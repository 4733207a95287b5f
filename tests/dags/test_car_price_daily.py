"""The DAG: what it declares, which day it works on, and how a run goes with small steps in place of the real ones."""

import itertools
import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from airflow.sdk.exceptions import ParamValidationError

from pipeline import steps
from pipeline.errors import DataInvalid, SourceUnavailable
from tests.airflow_home import REPOSITORY

pytestmark = [
    # Airflow 3.3 warns about its own code on every path.
    pytest.mark.filterwarnings("ignore"),
]

STEPS = ["fetch", "preprocess", "train", "export", "register", "gate", "deploy"]
HEAVY = ["sklearn", "pandas", "numpy", "mlflow", "onnx", "onnxruntime", "skl2onnx", "boto3", "pyarrow", "matplotlib"]
MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def dag(module):
    return module.car_price_daily()


def upstream(task):
    return set(task.upstream_task_ids)


def test_steps_run_one_after_the_other(dag):
    """Each step waits for the one before it."""
    order = [task.task_id for task in dag.topological_sort()]
    assert order == STEPS
    for before, after in itertools.pairwise(STEPS):
        assert before in upstream(dag.get_task(after))


def test_daily_without_catching_up_one_run_at_a_time(dag):
    """An older day never runs beside a newer one, and a new installation does not start with years of runs."""
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert dag.timetable.expression == "@daily" or "0 0 * * *" in dag.timetable.expression
    assert dag.dagrun_timeout == timedelta(hours=3)


def test_everything_says_what_it_is(dag):
    """The DAG and each task explain themselves in the UI."""
    assert "fetch → preprocess" in dag.doc_md
    assert {task.task_id for task in dag.tasks if task.doc_md} == set(STEPS)
    assert {"gavel"} <= dag.tags


def test_assets_are_where_they_come_to_be(dag):
    """The partition, the model and the release each have one task that makes them, under a lasting address."""
    made = {task.task_id: [asset.uri for asset in task.outlets] for task in dag.tasks if task.outlets}
    assert made == {
        "fetch": ["x-gavel://car_price/partition"],
        "register": ["x-gavel://car_price/model"],
        "deploy": ["x-gavel://car_price/release"],
    }


@pytest.mark.parametrize(
    "conf",
    [
        {"day": "2015-02-30"},
        {"day": "../../etc"},
        {"window_days": 2},
        {"window_days": 10**6},
        {"window_days": "30"},
        {"baseline": "perhaps"},
        {"force_reason": "x" * 501},
        {"force_reason": 5},
    ],
)
def test_the_form_refuses_what_is_out_of_bounds(dag, conf):
    """Wrong input never reaches a step."""
    ((name, value),) = conf.items()
    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve(value)


@pytest.mark.parametrize(
    "conf",
    [{}, {"day": "2015-06-01"}, {"window_days": 3}, {"baseline": "without"}, {"force_reason": "a new market"}],
)
def test_the_form_takes_what_is_in_bounds(dag, conf):
    """Every field is optional."""
    for name in dag.params:
        param = dag.params.get_param(name)
        assert param.resolve(conf[name]) == conf[name] if name in conf else True
        assert param.description
        assert param.schema["title"]


@pytest.mark.parametrize(
    ("day", "logical_date", "run_after", "expected"),
    [
        (None, MIDNIGHT, MIDNIGHT, date(2026, 11, 21)),  # scheduled: the day that is just over
        (None, datetime(2015, 6, 2, tzinfo=UTC), MIDNIGHT, date(2015, 6, 1)),  # backfill
        (None, None, datetime(2026, 11, 22, 9, 30, tzinfo=UTC), date(2026, 11, 21)),  # manual, no logical date
        ("2015-06-01", None, MIDNIGHT, date(2015, 6, 1)),  # manual, from the form
        ("2015-06-01", MIDNIGHT, MIDNIGHT, date(2015, 6, 1)),
        (None, datetime(2026, 11, 22, 1, tzinfo=timezone(timedelta(hours=2))), MIDNIGHT, date(2026, 11, 20)),  # UTC
        (None, datetime(2024, 3, 1, tzinfo=UTC), MIDNIGHT, date(2024, 2, 29)),
    ],
)
def test_the_data_day(module, day, logical_date, run_after, expected):
    """Yesterday of the logical date; without one, yesterday of the run; the form's day before all."""
    assert module.data_day(day, logical_date, run_after) == expected


def test_parsing_is_quick_and_imports_nothing_heavy():
    """Airflow parses the file again and again: at most 0.3 s once Airflow itself is imported."""
    code = f"""
import json, sys, time, runpy, warnings
warnings.simplefilter("ignore")
from airflow.sdk import Asset, ExceptionRetryPolicy, Param, conf, dag, task
sys.path.insert(0, {str(REPOSITORY)!r})
before = set(sys.modules)
start = time.process_time()
runpy.run_path({str(REPOSITORY / "dags" / "car_price_daily.py")!r}, run_name="parsed")
print(json.dumps([time.process_time() - start, sorted(set(sys.modules) - before)]))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout
    seconds, imported = json.loads(out.splitlines()[-1])
    assert not {name.partition(".")[0] for name in imported} & set(HEAVY)
    assert seconds <= 0.3


class Calls:
    """Small steps in place of the real ones; ``fail`` has what a step raises, one after the other."""

    def __init__(self, monkeypatch, *, window=True, passed=True):
        self.made = []
        self.given = {}
        self.fail = {}
        reference = {"prefix": "p", "digest": "d", "message": "done"}
        partition = {"day": "2015-06-01", "version": 1, "rows": 3, "sha256": "s"}
        answers = {
            "fetch": {"partition": partition, "window": reference if window else None, "message": "no sales"},
            "preprocess": reference,
            "train": reference,
            "export": reference,
            "register": {"version": 4, "run_id": "r", "run_url": "", "fingerprint": "f", "message": "version 4"},
            "gate": {
                "prefix": "certified",
                "digest": "c",
                "passed": passed,
                "reason": "worse than the champion",
                "table": "all checks\nin a table",
                "markdown": "### all checks",
                "message": "judged",
            },
            "deploy": {"live": True, "version": 4, "digest": "e", "message": "live"},
            "prune": {"message": "nothing is older than 30 days"},
        }
        for name, answer in answers.items():
            monkeypatch.setattr(steps, name, self._step(name, answer))

    def _step(self, name, answer):
        def call(settings, *arguments):
            self.made.append(name)
            self.given[name] = (settings, arguments)
            if errors := self.fail.get(name):
                raise errors.pop(0)
            return answer

        return call


def run(dag, conf=None, **dates):
    """One run to its end; the state of the run and of each task."""
    for task in dag.tasks:
        task.retry_delay = timedelta(0)
        task.retry_exponential_backoff = 0
    dates = dates or {"logical_date": None}
    ended = dag.test(run_conf=conf or {}, **dates)
    return ended.state, {ti.task_id: ti.state for ti in ended.get_task_instances()}


@pytest.mark.usefixtures("tables")
class TestRuns:
    def test_a_good_day_goes_live(self, dag, monkeypatch):
        """All steps, once each, in order, with what the form overrides; old work is removed before the first."""
        calls = Calls(monkeypatch)
        state, tasks = run(dag, {"day": "2015-06-01", "window_days": 30, "baseline": "without", "force_reason": "new"})
        assert (state, set(tasks.values())) == ("success", {"success"})
        assert calls.made == ["prune", *STEPS]
        settings, (day, today) = calls.given["fetch"]
        assert (settings.window_days, settings.with_baseline, day) == (30, False, "2015-06-01")
        assert today == datetime.now(UTC).date().isoformat()
        asked = calls.given["register"][1][2]
        assert asked["data_day"] == "2015-06-01"
        assert asked["url"].startswith("http://127.0.0.1:8080/dags/car_price_daily/runs/manual__")
        assert calls.given["gate"][1][-1] == "new"
        assert calls.given["deploy"][1][0]["prefix"] == "certified"

    def test_asset_events_say_what_changed(self, dag, monkeypatch):
        """So that another DAG can act on it without asking."""
        from airflow.models.asset import AssetEvent
        from airflow.utils.session import create_session

        Calls(monkeypatch)
        run(dag)
        with create_session() as session:
            newest = session.query(AssetEvent).order_by(AssetEvent.id.desc()).limit(3).all()
            extras = [event.extra for event in reversed(newest)]
        assert extras == [
            {"day": "2015-06-01", "version": 1, "rows": 3, "sha256": "s"},
            {"version": 4, "fingerprint": "f", "run_id": "r"},
            {"version": 4, "digest": "e", "live": True},
        ]

    def test_a_dated_run_works_on_the_day_before(self, dag, monkeypatch):
        """As a backfill does."""
        calls = Calls(monkeypatch)
        when = datetime(2015, 6, 2, tzinfo=UTC)
        run(dag, logical_date=when, run_after=when)
        assert calls.given["fetch"][1] == ("2015-06-01", "2015-06-02")

    def test_a_day_without_sales_skips_the_rest(self, dag, monkeypatch):
        """And the run ends well; old work is removed all the same."""
        calls = Calls(monkeypatch, window=False)
        state, tasks = run(dag)
        assert (state, calls.made) == ("success", ["prune", "fetch"])
        assert tasks == {"fetch": "success"} | dict.fromkeys(STEPS[1:], "skipped")

    def test_a_refused_model_is_not_deployed(self, dag, monkeypatch):
        """And the run ends well."""
        calls = Calls(monkeypatch, passed=False)
        state, tasks = run(dag)
        assert (state, tasks["gate"], tasks["deploy"]) == ("success", "success", "skipped")
        assert "deploy" not in calls.made

    @pytest.mark.parametrize("error", [DataInvalid("the column mmr is missing"), ZeroDivisionError()])
    def test_what_trying_again_cannot_help_is_not_tried_again(self, dag, monkeypatch, error):
        """Bad data, and mistakes of ours."""
        calls = Calls(monkeypatch)
        calls.fail["fetch"] = [error] * 9
        state, tasks = run(dag)
        assert (state, tasks["fetch"], tasks["deploy"]) == ("failed", "failed", "upstream_failed")
        assert calls.made == ["prune", "fetch"]

    def test_what_is_away_is_tried_again(self, dag, monkeypatch):
        """Until it is back."""
        calls = Calls(monkeypatch)
        calls.fail["fetch"] = [SourceUnavailable("away"), SourceUnavailable("away")]
        state, _ = run(dag)
        assert (state, calls.made) == ("success", [*["prune", "fetch"] * 3, *STEPS[1:]])

    def test_what_stays_away_ends_in_a_failure(self, dag, monkeypatch):
        """After three more attempts."""
        calls = Calls(monkeypatch)
        calls.fail["fetch"] = [SourceUnavailable("away")] * 9
        state, _ = run(dag)
        assert (state, calls.made) == ("failed", ["prune", "fetch"] * 4)
