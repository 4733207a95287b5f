"""serving/keys.py"""

import hashlib
import json
import re
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving import keys
from serving.access.credentials_file import CredentialsFile, read_document
from tests.serving.access.conftest import DOCUMENT
from tests.serving.process import REPOSITORY


@pytest.fixture
def path(tmp_path):
    return tmp_path / "credentials.json"


def run(*arguments):
    command = [sys.executable, "-m", "serving.keys", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_a_key_is_made_listed_and_removed(path):
    """The key is printed once and is nowhere else; who has one can be listed."""
    made = run("add", path, "--name", "alice", "--role", "predict")
    key = made.stdout.strip()
    assert (made.returncode, made.stderr) == (0, "")
    assert re.fullmatch(r"gavel_[\w-]{43}", key)
    assert key not in path.read_text()
    listed = run("list", path)
    assert listed.stdout == "alice\tpredict\tAPI key\tno end\n"
    assert key not in listed.stdout
    assert run("remove", path, "--name", "alice").returncode == 0
    assert run("list", path).stdout == ""


def test_a_server_knows_the_key_that_was_made(path):
    """By its SHA-256, with the role and the end that were asked for."""
    keys.main(["add", str(path), "--name", "root", "--role", "admin", "--not-after", "2030-01-01"])
    entry = read_document(path).keys[0]
    assert (entry.name, entry.role, entry.not_after.isoformat()) == ("root", "admin", "2030-01-01T00:00:00+00:00")
    assert bytes.fromhex(entry.sha256) in CredentialsFile(path).current().keys


def test_only_the_owner_may_read_the_file(path):
    """Also after it was open to all."""
    keys.add(path, "a", "predict")
    path.chmod(0o644)
    key = keys.add(path, "b", "predict")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["keys"][1]["sha256"] == hashlib.sha256(key.encode()).hexdigest()
    assert list(path.parent.iterdir()) == [path]


def test_what_else_is_in_the_file_stays(path):
    """AWS key pairs and other keys are as they were; a pair is removed by its name."""
    path.write_text(json.dumps(DOCUMENT))
    before = read_document(path)
    keys.add(path, "new", "predict")
    keys.remove(path, "new")
    assert read_document(path) == before
    keys.remove(path, "signer")
    assert read_document(path).aws == ()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("add", "FILE", "--name", "alice", "--role", "predict"), "same name: alice"),
        (("add", "FILE", "--name", "a b", "--role", "predict"), "matching regex"),
        (("add", "FILE", "--name", "bob", "--role", "root"), "invalid choice"),
        (("add", "FILE", "--name", "bob", "--role", "admin", "--not-after", "soon"), "not-after"),
        (("add", "FILE/none/x.json", "--name", "bob", "--role", "admin"), "serving.keys: "),
        (("remove", "FILE", "--name", "bob"), "no key named 'bob'"),
        (("list", "FILE.none"), "cannot be read"),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(path, arguments, reason):
    """No trace, and the file is as it was."""
    keys.add(path, "alice", "predict")
    before = path.read_bytes()
    found = run(*(part.replace("FILE", str(path)) for part in arguments))
    assert found.returncode != 0
    assert reason in found.stderr
    assert "Traceback" not in found.stderr
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_damaged_file_is_not_overwritten(path):
    """Whoever broke it may want to mend it."""
    path.write_text("{")
    assert "is not a credentials file" in run("add", path, "--name", "a", "--role", "admin").stderr
    assert path.read_text() == "{"


def test_many_who_write_at_once_lose_nothing(path):
    """Each waits for the one before."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: keys.add(path, f"key-{number}", "predict"), range(40)))
    assert {key.name for key in read_document(path).keys} == {f"key-{number}" for number in range(40)}


def test_a_link_stays_a_link(path, tmp_path):
    """The file behind it is replaced."""
    link = tmp_path / "link.json"
    link.symlink_to(path)
    keys.main(["add", str(link), "--name", "a", "--role", "admin"])
    assert link.is_symlink()
    assert read_document(path).keys[0].name == "a"
