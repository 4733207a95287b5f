"""serving/workers.py and start.py: several workers as real processes."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from http.client import HTTPException
from pathlib import Path

import pytest

from serving.workers import CANNOT_START, FIRST_WAIT_SECONDS, Workers
from tests.serving import tiny
from tests.serving.process import REPOSITORY, command, free_port, serving, wait_for
from tests.serving.test_hot_reload import Tally, ask_until


@contextmanager
def two_workers(root, **settings):
    """Release 1 answers by two workers that are only told by pushes."""
    tiny.go(root, 1)
    with serving(root, **{"workers": 2, "poll_seconds": 60, **settings}) as served:
        wait_for(lambda: served.ask("GET", "/readyz").status == 200)
        yield served


def status(served):
    return served.ask("GET", "/v1/model").document


def pids(served) -> list[int]:
    return [worker["pid"] for worker in status(served)["workers"]]


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@contextmanager
def stopped(pid: int):
    """The process does nothing meanwhile, as one that hangs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture(autouse=True)
def temporary(monkeypatch):
    """The folder in which a replica makes its own; short, as a socket's address must be."""
    with tempfile.TemporaryDirectory() as name:
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name)


def test_a_push_reaches_every_worker_within_300_ms(root):
    """Whichever worker is asked, the answer is of the new release, and its status names both."""
    with two_workers(root) as served:
        connections = [served.connection(), served.connection()]
        for connection, pid in zip(connections, pids(served), strict=True):
            with stopped(pid):  # so that the other one takes it
                assert served.ask("GET", "/livez", connection=connection).status == 200
        release = tiny.publish(root, 2)
        tiny.point(root, release, 2)
        started = time.monotonic()
        found = served.push().document
        taken = time.monotonic() - started
        assert (found["version"], found["digest"], found["ready"]) == (2, release.digest, True)
        assert [(each["index"], each["version"]) for each in sorted(found["workers"], key=lambda w: w["index"])] == [
            (0, 2),
            (1, 2),
        ]
        for connection in connections:
            answer = served.ask("POST", "/v1/predict", {"rows": [tiny.ROW]}, connection=connection)
            assert answer.document["predictions"] == [tiny.expected(2, tiny.ROW)]
            connection.close()
        assert taken < 0.3


def test_a_killed_worker_is_replaced_within_two_seconds(root):
    """The others answer meanwhile; no request hangs, and none meets a worker that has no release yet."""
    with two_workers(root) as served:
        before, statuses = pids(served), []
        os.kill(before[0], signal.SIGKILL)
        started = time.monotonic()
        while {None, before[0]} & set(pids(served)) or served.ask("GET", "/readyz").status != 200:
            statuses.append(served.ask("POST", "/v1/predict", {"rows": [tiny.ROW]}).status)
            assert time.monotonic() - started < 2
        assert set(statuses) <= {200}
        assert served.process.poll() is None


def test_when_the_parent_is_killed_nobody_stays(root):
    """Workers and trial process end by themselves, and the port is free for the next one."""
    with two_workers(root) as served:
        parent = served.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        assert len(children) == 4
        served.process.kill()
        served.process.wait()
        wait_for(lambda: not any(lives(int(pid)) for pid in children), 5)
        wait_for(lambda: is_free(served.port), 5)  # a process is gone before the last of its threads has closed all


def test_a_stopped_worker_makes_the_replica_not_ready(root):
    """It is named within the second that it has to answer; the other one goes on answering."""
    with two_workers(root) as served:
        with stopped(pids(served)[0]):
            found, ready = status(served), served.ask("GET", "/readyz")
            price = served.ask("POST", "/v1/predict", {"rows": [tiny.ROW]})
        silent = found["workers"][1]
        assert (found["ready"], found["version"], silent["ready"]) == (False, 1, False)
        assert silent["problem"] == "there is no answer within 1 s"
        assert ready.status == 503
        assert ready.document["detail"] == f"worker {silent['index']}: there is no answer within 1 s"
        assert price.status == 200
        wait_for(lambda: served.ask("GET", "/readyz").status == 200)


def test_reloads_under_load_across_workers(root):
    """Ten releases, eight clients: 0 failed, 0 mixed, none going back on a connection; each push reaches all."""
    bundles = {version: tiny.bundle(version) for version in range(2, 12)}
    with two_workers(root) as served:
        stop, tallies = threading.Event(), [Tally() for _ in range(8)]
        threads = [threading.Thread(target=ask_until, args=(stop, served, each, [tiny.ROW])) for each in tallies]
        for thread in threads:
            thread.start()
        for version, made in bundles.items():
            stop.wait(0.05)
            release = tiny.go(root, version, made)
            assert {each["digest"] for each in served.push().document["workers"]} == {release.digest}
        stop.set()
        for thread in threads:
            thread.join(20)
    assert all(tally.asked for tally in tallies)
    assert not [tally for tally in tallies if tally.failed or tally.mixed or tally.backwards]


def ask_until_refused(served, lost, asked):
    """Ask on kept connections, connecting again when told to close, until nobody takes connections any more."""
    while True:
        with closing(served.connection()) as connection:
            try:
                connection.connect()
            except OSError:
                return
            try:
                while not connection_closed(served, connection, lost, asked):
                    pass
            except (OSError, HTTPException) as error:
                lost.append(repr(error))


def connection_closed(served, connection, lost, asked) -> bool:
    answer = served.ask("POST", "/v1/predict", {"rows": [tiny.ROW]}, connection=connection)
    asked.append(answer.status)
    if answer.status != 200:
        lost.append(answer)
    return answer.headers.get("connection") == "close"


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_load_loses_nothing(root, temporary, workers):
    """16 clients on kept connections get an answer to each request until no connection is taken; the end is 0."""
    with two_workers(root, workers=workers, drain_seconds=0.5) as served:
        lost, asked = [], []
        threads = [threading.Thread(target=ask_until_refused, args=(served, lost, asked)) for _ in range(16)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(10) == 0
        for thread in threads:
            thread.join(10)
        assert not lost
        assert len(asked) > 100
        assert not list(temporary.glob("gavel-*"))


def test_one_worker_told_to_end_is_replaced(root):
    """SIGTERM to a worker drains it alone; meanwhile and afterwards each new connection gets its answer."""
    with two_workers(root) as served:
        told = pids(served)[0]
        os.kill(told, signal.SIGTERM)
        answers = []
        while lives(told):
            answers.append(served.ask("POST", "/v1/predict", {"rows": [tiny.ROW]}).status)
        assert set(answers) == {200}
        wait_for(lambda: served.ask("GET", "/readyz").status == 200, 2)
        assert told not in pids(served)


def test_ctrl_c_ends_all_of_it(root):
    """The terminal sends SIGINT to the whole group; the parent passes it on once, and the end is 0."""
    with two_workers(root) as served:
        workers = pids(served)
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(5) == 0
        assert not any(lives(pid) for pid in workers)


def test_what_no_worker_can_use_is_an_error_at_the_start(tmp_path):
    """A setting that only the application judges ends the replica with one sentence instead of trying for ever."""
    given = command(store="ftp://bucket", workers=2, port=free_port())
    found = subprocess.run(**given, capture_output=True, text=True, timeout=30)
    assert found.returncode == 1
    assert "'ftp:'" in found.stderr
    assert "Traceback" not in found.stderr


def test_the_number_of_workers_can_be_an_argument(root):
    """--workers goes before SERVING_WORKERS."""
    given = command(store=f"file:{root}", workers=1, port=free_port())
    given["args"] += ["--workers", "0"]
    found = subprocess.run(**given, capture_output=True, text=True, timeout=30)
    assert found.returncode == 1
    assert found.stderr.startswith("serving: SERVING_WORKERS: ")


def test_one_that_dies_again_and_again_is_started_later_and_later(monkeypatch):
    """The pauses double; a life of some length counts as healthy and ends them."""
    clock = [100.0]
    monkeypatch.setattr("serving.workers.time.monotonic", lambda: clock[0])
    workers = Workers(1, lambda _: 0, lambda _: None)
    (worker,) = workers._workers
    waits = []
    for _ in range(12):
        worker.pid, worker.started = 1, clock[0]
        workers._note(worker, 1)
        waits.append(worker.wait)
    assert waits[:3] == [FIRST_WAIT_SECONDS, 2 * FIRST_WAIT_SECONDS, 4 * FIRST_WAIT_SECONDS]
    assert waits[-1] == 30
    worker.pid, clock[0] = 1, clock[0] + 60
    workers._note(worker, -9)
    assert (worker.wait, worker.due) == (0, clock[0])


def test_settings_that_broke_do_not_end_workers_that_answer():
    """Only when no worker is left is it hopeless."""
    workers = Workers(2, lambda _: 0, lambda _: None)
    for worker in workers._workers:
        worker.pid = 1
    workers._note(workers._workers[0], CANNOT_START)
    assert not workers._hopeless
    workers._note(workers._workers[1], CANNOT_START)
    assert workers._hopeless


def test_what_is_forked_has_one_thread_and_reports_to_nobody(temporary):
    """Everything is imported before the fork: a thread would be lost in it, and onnxruntime's telemetry leaves a file."""
    code = "import serving.__main__, serving.start, os; print(len(os.listdir('/proc/self/task')))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, timeout=30)
    assert found.stdout == "1\n"
    assert not list(temporary.iterdir())
