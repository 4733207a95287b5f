"""deploy/state: all state into one file while clients ask, and back on a machine that has nothing of it."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.compose.days import all_serve, assert_all_well, printed_password
from tests.compose.stack import NAME, ROOT, Stack, run, wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(2400)]

TOOL = f"{NAME}-backup"


def environment(stack: Stack) -> Mapping[str, str]:
    return {**stack.environment, "COMPOSE_DISABLE_ENV_FILE": "1"}


def make(stack: Stack, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["make", *words]
    return subprocess.run(command, cwd=ROOT, env=environment(stack), capture_output=True, text=True, timeout=1200)


def backed_up(stack: Stack, folder: Path) -> Path:
    done = make(stack, "backup", f"TO={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    (archive,) = folder.iterdir()
    return archive


def broken_off(stack: Stack, folder: Path, number: signal.Signals) -> None:
    """A backup that gets a signal after it has stopped the databases."""
    command = [ROOT / "deploy" / "state", "backup", folder]
    with subprocess.Popen(command, env=environment(stack), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as backup:
        (postgres,) = stack.containers("postgres")
        wait_for(lambda: not is_running(postgres.name), 180, "PostgreSQL was not stopped")
        os.kill(backup.pid, number)
        backup.communicate(timeout=180)
    assert backup.returncode != 0


def is_running(name: str) -> bool:
    return run("docker", "ps", "-q", "--filter", f"name=^{name}$").strip() != ""


def ids(stack: Stack) -> set[str]:
    return {container.document["Id"] for container in stack.containers()}


def test_all_state_comes_back_on_an_empty_machine(live, days, tmp_path):
    """No request fails meanwhile; after `down --volumes` and a restore secrets, login, versions, runs and prices are the same."""
    before = (live.secrets(), printed_password(live), days.facts(), days.history())
    client = days.client()
    price = client.ask_once()
    with client.asking() as tally:
        archive = backed_up(live, tmp_path)
    live.wait_until_well()
    assert_all_well(tally, days.state())
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    refused(live, archive)
    live.remove()
    restored = make(live, "restore", f"FROM={archive}")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    live.wait_until_well()
    days.log_in()
    assert (live.secrets(), printed_password(live), days.facts(), days.history()) == before
    assert client.ask_once() == price
    assert all_serve(days.state(), price.version)


def refused(stack: Stack, archive: Path) -> None:
    """State that is there is kept, and a damaged archive touches nothing even when it may."""
    before = ids(stack)
    done = make(stack, "restore", f"FROM={archive}")
    assert done.returncode != 0
    assert "FORCE=1" in done.stderr
    copy = shutil.copy(archive, archive.with_name("damaged.tar"))
    with copy.open("r+b") as file:
        file.seek(copy.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    done = make(stack, "restore", f"FROM={copy}", "FORCE=1")
    assert done.returncode != 0
    assert "damaged" in done.stderr
    assert ids(stack) == before
    stack.wait_until_well(5)


def test_a_backup_that_is_asked_to_end_starts_what_it_stopped(live, tmp_path):
    """Ctrl-C or a shutdown in the middle: the stack runs again by itself and nothing is left in the folder."""
    broken_off(live, tmp_path, signal.SIGTERM)
    live.wait_until_well()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_backup_leaves_a_stack_that_starts_and_no_archive(live, tmp_path):
    """`kill -9`: nothing has an archive's name, `up` is enough, the next backup says what is in its way and then works."""
    broken_off(live, tmp_path, signal.SIGKILL)
    assert not list(tmp_path.glob("*.tar"))
    live.up()
    done = make(live, "backup", f"TO={tmp_path}")
    if done.returncode:
        assert f"docker rm -f {TOOL}" in done.stderr
        run("docker", "rm", "-f", TOOL)
        done = make(live, "backup", f"TO={tmp_path}")
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.iterdir()
    assert archive.suffix == ".tar"
    live.wait_until_well()
