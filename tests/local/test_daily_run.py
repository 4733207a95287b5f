"""Following a run of the DAG, against an Airflow that plays a script."""

import io
from datetime import UTC, date, datetime, timedelta

import pytest
import requests
from rich.console import Console

from local import daily_run
from local.airflow_client import Run, Task
from local.daily_run import newest_day, run_day

DAY = date(2026, 11, 21)
NEXT = datetime(2026, 11, 22, tzinfo=UTC)
GREEN = dict.fromkeys(daily_run.STEPS, "success")


class Script:
    """Each look shows the next scene; ``waiting`` are runs that are there before."""

    def __init__(self, *scenes, state="success", waiting=(), due=None):
        self.scenes = list(scenes)
        self.state, self.waiting, self.due = state, list(waiting), due
        self.triggered = []
        self.silent = 0

    def next_run(self, dag):
        return self.due or datetime.now(UTC) + timedelta(hours=5)

    def unpause(self, dag):
        pass

    def trigger(self, dag, conf):
        self.triggered.append(conf)
        return Run("manual", "queued", conf["day"], None)

    def waiting_runs(self, dag):
        return self.waiting

    def run(self, dag, run):
        if self.silent:
            self.silent -= 1
            raise requests.ConnectionError
        return Run(run, "running" if len(self.scenes) > 1 else self.state, None, None)

    def tasks(self, dag, run):
        scene = self.scenes.pop(0) if len(self.scenes) > 1 else self.scenes[0]
        return {name: Task(name, state, 1.5 if state == "success" else None, 2) for name, state in scene.items()}

    def answer(self, dag, run, task):
        return {"message": f"{task} went well"}

    def log(self, dag, run, task):
        return [f"line {i} of {task.name}" for i in range(100)]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(daily_run.time, "sleep", lambda _: None)


def play(script):
    out = io.StringIO()
    outcome = run_day(script, DAY, Console(file=out, width=200))
    return outcome, out.getvalue()


def test_every_step_is_told_with_its_time_and_result():
    """One line each when it begins and when it is over."""
    script = Script({"fetch": None}, {"fetch": "running"}, {"fetch": "success", "preprocess": "running"}, GREEN)
    outcome, said = play(script)
    assert outcome.ok
    assert script.triggered == [{"day": "2026-11-21"}]
    assert "Training on the sales up to 2026-11-21" in said
    assert "fetch       working" in said
    assert "fetch       done       1.5 s  fetch went well" in said
    assert said.count("deploy went well") == 1


def test_a_failed_step_brings_the_end_of_its_log():
    """So that nobody has to look for it."""
    outcome, said = play(
        Script({"fetch": "success", "preprocess": "failed", "train": "upstream_failed"}, state="failed")
    )
    assert (outcome.ok, outcome.failed) == (False, "preprocess")
    assert outcome.log[-1] == "line 99 of preprocess"
    assert len(outcome.log) == daily_run.LOG_LINES
    assert "train       skipped" in said


def test_a_run_that_fails_without_a_failed_step_is_not_ok():
    """Its time was over, say."""
    outcome, _ = play(Script({"fetch": "running"}, state="failed"))
    assert (outcome.ok, outcome.failed) == (False, None)


def test_a_second_attempt_is_told():
    """The person sees why it takes longer."""
    _, said = play(Script({"fetch": "up_for_retry"}, {"fetch": "running"}, GREEN))
    assert "attempt 2 did not work, trying again" in said


def test_a_day_without_sales_is_ok():
    """All but the first step are skipped."""
    outcome, said = play(Script({"fetch": "success"} | dict.fromkeys(daily_run.STEPS[1:], "skipped")))
    assert outcome.ok
    assert "deploy      skipped" in said


def test_a_short_silence_is_waited_out():
    """The API server may restart in between."""
    script = Script(GREEN)
    script.silent = 3
    assert play(script)[0].ok


def test_a_long_silence_is_an_error(monkeypatch):
    """Nobody waits for ever."""
    monkeypatch.setattr(daily_run, "SILENT_SECONDS", -1)
    script = Script(GREEN)
    script.silent = 3
    with pytest.raises(requests.ConnectionError):
        play(script)


@pytest.mark.parametrize(
    ("waiting", "due", "triggered"),
    [
        ([Run("s", "running", None, NEXT)], None, False),  # the scheduled run of that day works already
        ([Run("m", "queued", "2026-11-21", None)], None, False),  # somebody asked for it before
        ([Run("s", "running", None, NEXT)], NEXT - timedelta(days=1), False),  # it is made as the DAG is unpaused
        ([Run("s", "running", None, NEXT - timedelta(days=1))], None, True),  # another day's
        ([Run("m", "running", "2015-06-01", NEXT)], None, True),  # the form's day counts
        ([Run("s", "queued", None, NEXT - timedelta(days=9))], NEXT - timedelta(days=1), True),
    ],
)
def test_no_day_is_asked_for_twice(waiting, due, triggered):
    """A run of the same day that has not ended is followed instead."""
    script = Script(GREEN, waiting=waiting, due=due)
    assert play(script)[0].ok
    assert bool(script.triggered) == triggered


class Days:
    """A source that has sales on some days, and says or does not say which is the newest."""

    def __init__(self, days, newest=None):
        self.days, self.newest = days, newest

    def newest_day(self):
        return self.newest

    def read(self, day):
        return [1] if day in self.days else []


@pytest.mark.parametrize(
    ("says", "back", "found"),
    [(None, [1, 2], 1), (None, [3], 3), (None, [], 1), (700, [700], 700), (700, [702], 702), (None, [60], 1)],
)
def test_the_newest_day_is_one_with_sales(monkeypatch, says, back, found):
    """What the source says, else yesterday, or some days before if there was none."""
    today = datetime.now(UTC).date()
    ago = [today - timedelta(days=days) for days in back]
    source = Days(ago, None if says is None else today - timedelta(days=says))
    monkeypatch.setattr(daily_run, "open_source", lambda *_, **__: source)
    assert newest_day("simulated:", "car_auctions", 7) == today - timedelta(days=found)
