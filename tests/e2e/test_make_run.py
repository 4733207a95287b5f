"""The whole stack from an empty folder, as a new user meets it: run, ask for a price, again, stop, nothing left."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3000)]

REPOSITORY = Path(__file__).parent.parent.parent
MARKER = "LOCAL_STACK_STATE"


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of what is in the working tree and not ignored, in an empty folder; stopped whatever happens."""
    folder = tmp_path_factory.mktemp("clone") / "gavel"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((REPOSITORY / name).read_bytes())
    yield folder
    subprocess.run(["make", "stop"], cwd=folder, check=False)


@pytest.fixture(scope="module")
def ports():
    names = ("PORT_AIRFLOW", "PORT_MLFLOW", "PORT_SERVING")
    return [f"{name}={port}" for name, port in zip(names, free_ports(3), strict=True)]


def make(clone, *arguments):
    """``make`` without a terminal, without what this process was told by a make of its own."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "GAVEL_"))}
    start = time.monotonic()
    done = subprocess.run(
        ["make", *arguments],
        cwd=clone,
        env=outer,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    took = f"make {' '.join(arguments)}: {time.monotonic() - start:.0f} s, exit code {done.returncode}"
    sys.stdout.write("\n".join(["", took, done.stdout, done.stderr]))
    return done


def price(said):
    """What the printed curl line answers."""
    (line,) = [line for line in said.splitlines() if line.startswith("curl ")]
    answer = subprocess.run(shlex.split(line), capture_output=True, text=True, check=True, timeout=30).stdout
    return json.loads(answer)


def left_over(clone):
    """The processes that carry the clone's marker or run its programs."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get(MARKER) == str(clone / ".gavel") or str(clone) in " ".join(process.cmdline())
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_from_an_empty_folder_to_a_price_and_back(clone, ports):
    """First run, the printed line, a second run beside it, a stop, a restart that carries on."""
    first = make(clone, "run", *ports)
    assert first.returncode == 0
    for step in ("fetch", "preprocess", "train", "export", "register", "gate", "deploy"):
        assert re.search(rf"^  {step} +done", first.stdout, re.MULTILINE)
    answer = price(first.stdout)
    prediction = answer["predictions"][0]
    assert 0 < prediction["low"] <= prediction["price"] <= prediction["high"]
    assert answer["version"] == 1

    again = make(clone, "run", *ports)
    assert again.returncode == 0
    assert "running already" in again.stdout
    assert price(again.stdout)["digest"] == answer["digest"]  # the same day is the same version

    assert make(clone, "stop").returncode == 0
    assert left_over(clone) == []

    restarted = make(clone, "run", *ports)
    assert restarted.returncode == 0
    assert "Installing" not in restarted.stdout
    assert price(restarted.stdout)["digest"] == answer["digest"]

    assert make(clone, "stop").returncode == 0
    assert left_over(clone) == []
    assert "Nothing was running" in make(clone, "stop").stdout


def test_a_taken_port_is_one_sentence(clone):
    """And nothing is started."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = make(clone, "run", f"PORT_SERVING={port}")
    assert said.returncode != 0
    assert f"Cannot run: port {port} is taken by another program; choose another one for serving" in said.stderr
    assert left_over(clone) == []


def test_a_wrong_python_is_one_sentence(clone):
    """Before anything is installed."""
    said = make(clone, "run", "PYTHON=false")
    assert said.returncode != 0
    assert said.stderr.startswith("Gavel needs Python 3.11 to 3.14 and 'false' is not one")


def test_clean_leaves_the_folder_as_it_came(clone):
    """No environment, no state."""
    assert make(clone, "clean").returncode == 0
    assert {".gavel", ".venv", ".venv-serving"}.isdisjoint(path.name for path in clone.iterdir())
