"""A run that is killed again and again ends in the same state as one that is left alone."""

import hashlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DAYS = ("--from", "2026-03-04", "--to", "2026-03-04", "--window-days", "6")

pytestmark = pytest.mark.e2e


def start(state):
    command = [sys.executable, "-m", "pipeline.run", "--source", "simulated:", *DAYS, "--state", str(state), "--json"]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )


def finish(process):
    out, said = process.communicate(timeout=600)
    assert process.returncode == 0, said.decode()[-2000:]
    return json.loads(out)


def state_of(folder):
    """What is in the store, and the versions that the registry has."""
    store = folder / "store"
    files = {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and not path.relative_to(store).parts[0].startswith(".") and not _pickled(path)
    }
    with sqlite3.connect(folder / "mlflow.db") as database:
        versions = database.execute("select name, version from model_versions order by version").fetchall()
        tags = database.execute("select version, value from model_version_tags where key = 'fingerprint'").fetchall()
        aliases = database.execute("select alias, version from registered_model_aliases").fetchall()
    return comparable(files), versions, sorted(tags), aliases


def comparable(files):
    """The files without what a clock said (when, and how fast), and each file's SHA-256 written as that file's name."""
    names = {hashlib.sha256(content).hexdigest(): name for name, content in files.items()}
    return {name: _without_clock(name, content, names) for name, content in files.items()}


def _without_clock(name, content, names):
    path = Path(name)
    if path.name == "certificate.json":
        certificate = json.loads(content)
        latency = next(check for check in certificate["checks"] if check["name"] == "latency")
        certificate["made_at"] = latency["figure"] = latency["text"] = ""
        return certificate
    if path.suffix != ".json":
        return content
    text = re.sub("[0-9a-f]{64}", lambda digest: names.get(digest[0], digest[0]), content.decode())
    return re.sub(r'"at": "[^"]+"', "", text) if path.parts[0] == "ledger" else text


def _pickled(path):
    """One and the same model is pickled in more than one way; the bundle made of it is compared."""
    return path.suffix == ".joblib" or (path.name == "index.json" and (path.parent / "model.joblib").exists())


@pytest.mark.timeout(1500)
def test_a_run_killed_at_every_few_seconds_ends_as_one_that_was_left_alone(tmp_path):
    """kill -9 every few seconds, a rerun each time: same bytes, same versions, no duplicates, nothing half-written."""
    begin = time.monotonic()
    calm = finish(start(tmp_path / "calm"))
    alone = time.monotonic() - begin
    kills = 0
    # Longer and longer, so that every step is hit and the last attempts get through.
    for attempt in range(40):
        process = start(tmp_path / "killed")
        try:
            process.wait(timeout=2.0 + attempt * alone / 40)
            finish(process)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
    result = finish(start(tmp_path / "killed"))

    assert kills >= 8
    assert state_of(tmp_path / "killed") == state_of(tmp_path / "calm")
    for one, other in zip(result["days"], calm["days"], strict=True):
        assert {**one, "seconds": 0, "reason": ""} == {**other, "seconds": 0, "reason": ""}
