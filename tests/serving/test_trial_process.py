"""serving/trial_process.py: how long it lives and what its children may do."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from serving import trial_process
from serving.errors import ReleaseRefused
from serving.trial import start_trials
from tests.serving import tiny
from tests.serving.process import REPOSITORY, serving, wait_for

STARTER = """
import signal, time
from serving.trial import start_trials
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit it ignored
print(start_trials().process, flush=True)
time.sleep(60)
"""


def family(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *(each for child in children for each in family(int(child)))]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_the_server(number):
    """However the server ends."""
    server = subprocess.Popen(
        [sys.executable, "-c", STARTER], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with server:
        process = int(server.stdout.readline())
        wait_for(lambda: len(family(process)) == 2)
        below = family(process)
        server.send_signal(number)
        server.wait(60)
        wait_for(lambda: not any(map(is_running, below)), 5)


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_9_of_a_server_leaves_nothing_behind(root, workers):
    """Neither its trial processes nor a worker."""
    tiny.go(root, 1)
    with serving(root, workers=workers) as served:
        wait_for(lambda: served.ask("GET", "/readyz").status == 200)
        below = family(served.process.pid)
        assert len(below) == 5 + (workers if workers > 1 else 0)
        served.process.kill()
        served.process.wait(10)
        wait_for(lambda: not any(map(is_running, below)), 5)


def test_a_server_whose_trial_process_is_killed_goes_on_and_loads(root):
    """It is replaced before the next release needs it."""
    tiny.go(root, 1)
    with serving(root) as served:
        wait_for(lambda: served.ask("GET", "/readyz").status == 200)
        _, _, trials, *_ = family(served.process.pid)  # the server, who keeps it running, itself
        os.kill(trials, signal.SIGKILL)
        tiny.go(root, 2)
        wait_for(lambda: served.ask("GET", "/readyz").headers["x-model-version"] == "2")


def test_ctrl_c_is_left_to_the_server():
    """In a terminal it reaches every process; the server still drains, and may load meanwhile."""
    trials = start_trials()
    try:
        wait_for(lambda: len(family(trials.process)) == 2)
        for process in family(trials.process):
            os.kill(process, signal.SIGINT)
        made = tiny.bundle(1)
        assert trials.load(tiny.MODEL, tiny.release_of(1, made), made.files)
    finally:
        trials.close()


def attempt(monkeypatch, work) -> str:
    """What a trial's child says that does ``work`` instead of a trial."""

    def load(*_):
        raise ReleaseRefused(str(work()))

    monkeypatch.setattr(trial_process.loader, "load", load)
    trials = start_trials()
    try:
        made = tiny.bundle(1)
        with pytest.raises(ReleaseRefused) as caught:
            trials.load(tiny.MODEL, tiny.release_of(1, made), made.files)
    finally:
        trials.close()
    return str(caught.value)


def test_a_child_cannot_write_a_file(monkeypatch, tmp_path):
    """Neither a result nor a core dump."""

    def write():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            (tmp_path / "file").write_text("x")
        except OSError as error:
            return error.strerror

    assert attempt(monkeypatch, write) == "File too large"


def test_a_child_is_the_first_to_go_when_memory_is_full(monkeypatch):
    """The system chooses it before the server."""
    assert attempt(monkeypatch, lambda: Path("/proc/self/oom_score_adj").read_text().strip()) == "1000"


def test_memory_is_bounded_for_everything_in_a_child(monkeypatch):
    """Not for onnxruntime alone."""
    assert attempt(monkeypatch, lambda: len(bytearray(2 << 30))).startswith(
        "the model needs more than 512 MB to answer: MemoryError"
    )


def test_a_child_knows_the_time_it_has(monkeypatch):
    """Ten seconds of processor time at most."""
    resource = trial_process.resource
    assert attempt(monkeypatch, lambda: resource.getrlimit(resource.RLIMIT_CPU)) == "(10, 11)"


def test_a_child_leaves_the_processors_to_those_who_answer(monkeypatch):
    """Ten steps below the server."""
    lowest = 19
    assert attempt(monkeypatch, lambda: trial_process.os.nice(0)) == str(
        min(lowest, os.nice(0) + trial_process.NICENESS)
    )
