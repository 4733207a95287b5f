"""Starting small programs under the real supervisor, and ending them however they resist."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from local.environment import MARKER
from local.errors import CannotRun
from local.layout import Ports, State
from local.running import Running, end_all, members
from local.services import Service
from local.supervisor import Supervisor, configuration

SLEEP = "import time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
RENAMED = "import setproctitle, time; setproctitle.setproctitle('x' * 40000); time.sleep(600)"
AWAY = "import os, subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], "
AWAY += "start_new_session=True); time.sleep(600)"


def program(name, code, stop_seconds=1):
    return Service(name, (sys.executable, "-c", code), stop_seconds)


@pytest.fixture
def state(tmp_path):
    found = State(tmp_path / "a folder with % and 'quotes'")
    found.make()
    yield found
    end_all(found)


def start(state, *programs):
    """The supervisor with its programs up; the session they are in."""
    supervisor = Supervisor(state)
    process = supervisor.start(programs, os.environ | {MARKER: str(state.root)})
    Running.of(process.pid, Ports(), "simulated:").write(state)
    for started in programs:
        supervisor.start_program(started.name)
    wait_until(lambda: all(p.pid for p in supervisor.programs().values()))
    time.sleep(0.5)  # their own first lines
    return process


def wait_until(true, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(processes):
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_stop_ends_everything(state):
    """And removes what tells that it runs."""
    process = start(state, program("one", SLEEP), program("two", SLEEP))
    found = members(state)
    assert len(found) == 3
    assert end_all(state) == 3
    assert alive(found) == []
    assert not Supervisor(state).answers()
    assert Running.read(state) is None
    process.wait(10)


@pytest.mark.parametrize("code", [STUBBORN, RENAMED, AWAY], ids=["ignores SIGTERM", "hides its environment", "left"])
def test_stop_ends_what_resists(state, code):
    """Programs that ignore the signal, overwrite their environment or leave the session."""
    process = start(state, program("resists", code))
    found = members(state)
    assert end_all(state) == len(found) >= 2
    assert alive(found) == members(state) == []
    process.wait(10)


@pytest.mark.parametrize("code", [SLEEP, RENAMED, AWAY], ids=["plain", "hides its environment", "left"])
def test_stop_works_without_the_supervisor(state, code):
    """It was killed, and its programs live on."""
    process = start(state, program("orphan", code))
    found = members(state)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    assert alive(found)
    assert end_all(state) == len(found) - 1
    assert alive(found) == []


def test_stop_twice_finds_nothing(state):
    """And does no harm."""
    process = start(state, program("one", SLEEP))
    end_all(state)
    assert end_all(state) == 0
    process.wait(10)


def test_others_are_left_alone(state):
    """A process of another state folder is none of ours, nor is this one."""
    other = subprocess.Popen([sys.executable, "-c", SLEEP], env=os.environ | {MARKER: str(state.root) + "2"})
    try:
        assert other.pid not in [p.pid for p in members(state)]
        assert end_all(state) == 0
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_session_number_of_another_boot_means_nothing(state):
    """Numbers are used again."""
    other = subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True)
    try:
        started = psutil.Process(other.pid).create_time()
        Running(other.pid, started, psutil.boot_time() - 4000, Ports(), "simulated:").write(state)
        assert members(state) == []
        Running(other.pid, started + 100, psutil.boot_time(), Ports(), "simulated:").write(state)
        assert members(state) == []
    finally:
        other.kill()
        other.wait()


def test_a_program_that_dies_comes_back(state):
    """The supervisor starts it again."""
    process = start(state, program("one", SLEEP))
    first = Supervisor(state).programs()["one"].pid
    wait_until(lambda: Supervisor(state).programs()["one"].state == "RUNNING")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: Supervisor(state).programs()["one"].pid not in (0, first))
    end_all(state)
    process.wait(10)


def test_a_half_written_note_means_not_running(state):
    """It is no reason to fail."""
    state.running_file.write_text('{"session": 1')
    assert Running.read(state) is None


def test_only_the_owner_can_speak_to_the_supervisor(state):
    """Its socket and its configuration are private."""
    process = start(state, program("one", SLEEP))
    assert state.socket.stat().st_mode & 0o077 == 0
    assert state.supervisor_config.stat().st_mode & 0o077 == 0
    end_all(state)
    process.wait(10)


def test_a_deep_folder_gets_its_socket_elsewhere(tmp_path):
    """The kernel takes only about a hundred bytes of path."""
    state = State(tmp_path / ("deep" * 30))
    state.make()
    assert len(os.fsencode(state.socket)) < 100
    assert state.socket != State(tmp_path / ("deep" * 31)).socket
    assert state.socket.parent.stat().st_mode & 0o077 == 0
    process = start(state, program("one", SLEEP))
    assert end_all(state) == 2
    process.wait(10)
    state.socket.parent.rmdir()


def test_programs_end_with_their_children_and_come_back(state):
    """What the configuration says of each."""
    text = configuration(state, [program("one", "print('100%')")])
    assert "stopasgroup=true" in text
    assert "killasgroup=true" in text
    assert "autorestart=true" in text
    assert "100%%" in text


def test_a_supervisor_that_cannot_start_is_a_sentence(state):
    """With where to look."""
    state.logs.rmdir()
    state.logs.write_text("in the way")
    with pytest.raises((CannotRun, NotADirectoryError)):
        Supervisor(state).start([program("one", SLEEP)], dict(os.environ))
    state.logs.unlink()
    state.logs.mkdir()
