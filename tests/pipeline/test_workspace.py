"""Folders between the steps: whole or not there, found again by key, and nobody changes them unnoticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import workspace
from pipeline.errors import DataInvalid
from pipeline.store import Store, open_store
from pipeline.workspace import INDEX, Ref, Workspace, code_digest, key_of, lock_digest, read_file

ROOT = Path(__file__).parents[2]
FILES = {"model.bin": b"model", "sub/about.json": b"{}"}


def test_what_was_published_is_found_and_read(store: Store) -> None:
    """By its key; the reference is the same each time."""
    folders = Workspace(store, "trained/cars")
    assert folders.find("k1") is None
    ref = folders.publish("k1", FILES)
    assert ref == folders.find("k1") == Workspace(open_store(store.uri), "trained/cars").find("k1")
    assert {name: read_file(store, ref, name) for name in FILES} == FILES
    assert folders.find("k2") is None
    assert ref.to_dict() == {"prefix": "trained/cars/k1", "digest": ref.digest}


def test_publishing_twice_is_one(store: Store) -> None:
    """The second finds the first."""
    folders = Workspace(store, "w")
    first = folders.publish("k", FILES)
    keys = list(store.keys(""))
    assert folders.publish("k", FILES) == first
    assert list(store.keys("")) == keys


def test_of_two_that_did_the_same_work_the_first_stands(store: Store) -> None:
    """The same model is pickled in more than one way; whoever comes second goes on with what is there."""
    folders = Workspace(store, "w")
    first = folders.publish("k", FILES)
    assert folders.publish("k", {**FILES, "a.txt": b"other"}) == first
    assert folders.find("k") == first


def changed(store: Store, key: str, data: bytes) -> None:
    store.replace(key, data, store.read(key).etag)


@pytest.mark.parametrize("name", ["model.bin", INDEX])
def test_a_changed_file_is_found(store: Store, name: str) -> None:
    """The file or the index itself: the error names it and says what to do."""
    ref = Workspace(store, "w").publish("k", FILES)
    changed(store, f"w/k/{name}", b"{}")
    with pytest.raises(DataInvalid, match=f"w/k/{name} was changed after it was written; remove the folder"):
        read_file(store, ref, "model.bin")


def test_a_reference_stands_for_exactly_one_content(store: Store) -> None:
    """A folder of the same name with other files is not what the reference means."""
    ref = Workspace(store, "w").publish("k", FILES)
    with pytest.raises(DataInvalid):
        read_file(store, Ref(ref.prefix, "0" * 64), "model.bin")


def test_a_key_depends_on_every_part_and_on_their_order() -> None:
    """24 hexadecimal digits; the order of a document's fields is none of them."""
    key = key_of("train", {"a": 1, "b": [2]}, "x")
    assert key == key_of("train", {"b": [2], "a": 1}, "x")
    assert len({key, key_of("train", {"a": 1, "b": [3]}, "x"), key_of("x", {"a": 1, "b": [2]}, "train"), key_of()}) == 4
    assert len(key) == 24
    assert int(key, 16) >= 0


def test_code_has_a_digest_that_other_code_does_not_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line more, a file more or another name make another one; files that are no code do not."""
    package = tmp_path / "pipeline"
    (package / "sub").mkdir(parents=True)
    (package / "workspace.py").write_text("a = 1\n")
    (package / "sub" / "b.py").write_text("b = 1\n")
    monkeypatch.setattr(workspace, "__file__", str(package / "workspace.py"))
    digests = [code_digest()]
    (package / "notes.txt").write_text("x")
    assert code_digest() == digests[0]
    (package / "workspace.py").write_text("a = 2\n")
    digests.append(code_digest())
    (package / "sub" / "b.py").rename(package / "sub" / "c.py")
    digests.append(code_digest())
    assert len(set(digests)) == 3
    assert lock_digest() == ""


def test_the_digests_are_the_same_in_another_process() -> None:
    """Wherever it is started from, and however its hashes are seeded."""
    code = "from pipeline.workspace import code_digest, key_of, lock_digest; print(key_of({'a': 1}, lock_digest()))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=folder, capture_output=True, check=True,
            env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
        ).stdout
        for folder, seed in ((ROOT, "1"), ("/", "2"))
    }  # fmt: skip
    assert len(outputs) == 1
