"""serving/trial.py"""

import faulthandler
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from serving import loader, trial_process
from serving.errors import ReleaseRefused, StoreUnavailable
from serving.trial import start_trials
from serving.trial_process import Limits
from tests.serving import hostile_models as hostile
from tests.serving import tiny
from tests.serving.process import wait_for


@pytest.fixture
def start():
    """Starts trial processes that end with the test."""
    started = []

    def start(**limits):
        started.append(start_trials(Limits(**limits)))
        return started[-1]

    yield start
    for trials in started:
        trials.close()


def try_out(trials, made, version=1):
    return trials.load(tiny.MODEL, tiny.release_of(version, made), made.files)


def refusal(trials, made) -> str:
    with pytest.raises(ReleaseRefused) as caught:
        try_out(trials, made)
    return str(caught.value)


def test_a_good_release_is_loaded_here_after_its_trial(start):
    """What comes back answers in this process."""
    loaded = try_out(start(), tiny.bundle(1))
    assert loaded.predict([tiny.ROW])["price"].tolist() == [tiny.expected(1, tiny.ROW)["price"]]


def test_what_was_changed_on_the_way_is_refused_before_any_trial(start, monkeypatch):
    """Nobody is asked about bytes that are not those of the release."""
    made = tiny.bundle(1)
    monkeypatch.setattr("serving.trial.Trials._ask", lambda *_: pytest.fail("it was asked"))
    with pytest.raises(ReleaseRefused, match=r"model\.onnx has SHA-256"):
        start().load(tiny.MODEL, tiny.release_of(1, made), {**made.files, "model.onnx": b"x"})


def test_what_the_trial_refuses_is_never_loaded_here(start, monkeypatch):
    """The reason is that of the check; this process does not come near the model."""
    monkeypatch.setattr("serving.loader._session", lambda _: pytest.fail("it was loaded"))
    trials = start()
    assert refusal(trials, tiny.bundle(1, model=hostile.endless_loop())).startswith("node 15 (extra) is a Loop")


def test_a_model_that_takes_more_memory_than_allowed_is_refused(start):
    """13 GB by operators that are all allowed; the reason says how much it may be."""
    made = tiny.bundle(1, model=hostile.grows_within_the_allowed_operators())
    assert refusal(start(), made).startswith("the model needs more than 516 MB to answer: ")


def test_a_model_that_takes_too_much_processor_time_is_killed(start):
    """It is not waited for."""
    trials, made, began = start(cpu_seconds=1), tiny.bundle(1, model=hostile.takes_long()), time.monotonic()
    reason = "the model took more than 1 seconds of processor time to answer its golden rows"
    assert refusal(trials, made) == reason
    assert time.monotonic() - began < 8


def test_a_model_that_takes_too_long_is_killed(start):
    """Also one that only waits."""
    reason = "the model did not answer its golden rows within 0.2 seconds"
    assert refusal(start(wall_seconds=0.2), tiny.bundle(1, model=hostile.takes_long())) == reason


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGSEGV, "the model crashed the process of its first run (SIGSEGV)"),
        (signal.SIGABRT, "the model crashed the process of its first run (SIGABRT)"),
        (
            signal.SIGKILL,
            "the first run of the model was killed by the system; most likely the memory was full",
        ),
    ],
)
def test_a_model_that_crashes_is_refused_and_the_next_is_tried(start, monkeypatch, number, reason):
    """The crash is that of a child; the trial process goes on."""
    load = loader.load

    def crash(model, release, files):
        if release.version == 1:
            faulthandler.disable()  # pytest's; it would tell everybody
            os.kill(os.getpid(), number)
        return load(model, release, files)

    monkeypatch.setattr(trial_process.loader, "load", crash)
    trials = start()
    assert refusal(trials, tiny.bundle(1)) == reason
    assert try_out(trials, tiny.bundle(2), 2).version == 2


def test_a_child_that_ends_without_a_word_is_a_refusal(start, monkeypatch):
    """Whatever a model does to its process."""
    monkeypatch.setattr(trial_process.loader, "load", lambda *_: os._exit(7))
    assert refusal(start(), tiny.bundle(1)) == "the model crashed the process of its first run (exit code 7)"


def test_several_workers_that_ask_at_once_cost_one_trial(start, monkeypatch, tmp_path):
    """The first one's verdict is everybody's, whether good or bad."""
    load = loader.load

    def count(model, release, files):
        with (tmp_path / "loads").open("a") as file:
            file.write(f"{release.version}\n")
        time.sleep(0.2)
        return load(model, release, files)

    monkeypatch.setattr(trial_process.loader, "load", count)
    # the trial process forbids writing files; here it is what is looked at
    monkeypatch.setattr(trial_process.resource, "RLIMIT_FSIZE", trial_process.resource.RLIMIT_CORE)
    trials, made, found = start(), {1: tiny.bundle(1), 2: tiny.bundle(2, model=tiny.onnx_model(3))}, []

    def worker(version):
        try:
            found.append(try_out(trials, made[version], version).version)
        except ReleaseRefused as error:
            found.append(str(error))

    threads = [threading.Thread(target=worker, args=(1 + i % 2,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(map(str, found)) == ["1"] * 4 + ["golden row 0: price is 27413, recorded was 26413"] * 4
    assert sorted((tmp_path / "loads").read_text().split()) == ["1", "2"]


def test_a_verdict_is_forgotten_after_a_while(start, monkeypatch):
    """A refusal that was the machine's fault must not stay."""
    monkeypatch.setattr(trial_process, "REMEMBER_SECONDS", 0.0)
    trials = start()
    assert try_out(trials, tiny.bundle(1))
    assert try_out(trials, tiny.bundle(1))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_a_trial_process_that_was_killed_is_replaced(start):
    """Whoever asks next finds a new one."""
    trials = start()
    assert try_out(trials, tiny.bundle(1))
    (old,) = wait_for(lambda: children(trials.process))
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: children(trials.process) not in ([], [old]))
    assert try_out(trials, tiny.bundle(2), 2).version == 2


def test_a_death_in_the_middle_of_a_trial_is_no_refusal(start):
    """It says nothing about the release."""
    trials, made = start(), tiny.bundle(1, model=hostile.takes_long())
    (process,) = wait_for(lambda: children(trials.process))
    threading.Timer(0.3, os.kill, (process, signal.SIGKILL)).start()
    with pytest.raises(StoreUnavailable, match="no verdict"):
        try_out(trials, made)


def test_without_any_trial_process_nothing_is_loaded(start):
    """Better the old release than an untried one."""
    trials = start()
    os.kill(trials.process, signal.SIGKILL)
    os.waitpid(trials.process, 0)
    with pytest.raises(StoreUnavailable, match="no verdict"):
        wait_for(lambda: try_out(trials, tiny.bundle(1)) and None, 2)


def test_trials_leave_nothing_open(start):
    """A thousand trials must not run out of files or leave processes behind."""
    trials = start()
    (process,) = wait_for(lambda: children(trials.process))
    made = [tiny.bundle(version) for version in range(1, 5)]

    def held():
        return open_files(process), open_files(os.getpid()), children(process)

    before = held()
    for i in range(12):
        try_out(trials, made[i % 4], 1 + i)
    wait_for(lambda: held() == before)
