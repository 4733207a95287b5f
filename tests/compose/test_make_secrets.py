"""compose/make_secrets.py: made once, kept, and each service is shown only what it needs."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import stat
from pathlib import Path

import pytest

from compose import make_secrets
from compose.make_secrets import PIPELINE, S3, SERVING, folders, new_secrets
from compose.new_secrets import KEPT, forget

# Who may know the same secret: the two ends of a connection.
SHARED = {
    "database_admin": {"postgres", "setup"},
    "database_airflow": {"airflow", "setup"},
    "database_mlflow": {"mlflow", "setup"},
    "push_token": {"airflow", "serving"},
    "valkey": {"airflow", "valkey"},
    "login": {"airflow", "people"},
    "key_client": {"people"},
    "key_prometheus": {"prometheus"},
    "s3_admin_secret": {"s3", "setup"},
    "s3_pipeline_secret": {"s3", "airflow", "people"},
    "s3_mlflow_secret": {"s3", "mlflow"},
    "s3_serving_secret": {"s3", "serving"},
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty volumes, and an owner of each file that this user may not really set."""
    for name in ("all", *folders(new_secrets())):
        (tmp_path / name).mkdir()
    owners: dict[str, int] = {}
    monkeypatch.setattr(os, "chown", lambda path, user, _: owners.__setitem__(Path(path).name, user))
    monkeypatch.setattr(make_secrets, "owners", owners, raising=False)
    return tmp_path


def files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_same_secrets_at_every_start(root: Path) -> None:
    """A second start changes nothing."""
    make_secrets.main(root, {})
    before = files(root)
    make_secrets.main(root, {})
    assert files(root) == before
    assert len(before) > 10


def test_no_secret_is_like_another(root: Path) -> None:
    """Each value is long, and of its own."""
    values = list(new_secrets().values()) + list(new_secrets().values())
    assert len(set(values)) == len(values)
    assert min(map(len, values)) >= 16


def test_a_service_is_shown_only_its_own(root: Path) -> None:
    """A secret is in the folders of the two who share it and in no other; serving's file has hashes of keys only."""
    make_secrets.main(root, {})
    known = json.loads((root / "all" / "secrets.json").read_text())
    shown = {name: {path.split("/")[0] for path, text in files(root).items() if known[name] in text} for name in known}
    assert {name: shown[name] - {"all"} for name in SHARED} == SHARED
    alone = {name for name in known if name not in SHARED and not name.endswith("_id")}
    assert all(len(shown[name] - {"all"}) == 1 for name in alone)


def test_only_the_owner_may_read(root: Path) -> None:
    """Every file has mode 0400 and belongs to the user its service runs as."""
    make_secrets.main(root, {})
    assert {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_file()} == {0o400}
    assert make_secrets.owners["s3.json.new"] == S3
    assert make_secrets.owners["passwords.json.new"] == PIPELINE
    assert make_secrets.owners["credentials.json.new"] == SERVING


def test_keys_that_people_made_stay(root: Path) -> None:
    """What was changed in serving's credentials file is not written over by the next start."""
    make_secrets.main(root, {})
    path = root / "serving" / "credentials.json"
    path.chmod(0o600)
    path.write_text('{"keys": []}')
    make_secrets.main(root, {})
    assert path.read_text() == '{"keys": []}'


def test_a_newer_release_brings_new_names(root: Path) -> None:
    """A name that the stack did not have before gets a value; the others keep theirs."""
    make_secrets.main(root, {})
    document = root / "all" / "secrets.json"
    old = json.loads(document.read_text())
    document.chmod(0o600)
    document.write_text(json.dumps({name: value for name, value in old.items() if name != "valkey"}))
    make_secrets.main(root, {})
    new = json.loads(document.read_text())
    assert new.keys() == old.keys()
    assert {name for name in old if new[name] != old[name]} == {"valkey"}


@pytest.mark.parametrize("death", range(1, 16))
def test_killed_half_way(root: Path, monkeypatch: pytest.MonkeyPatch, death: int) -> None:
    """Killed before any of its writes and started again, it ends with folders that agree with each other."""
    calls, replace = itertools.count(1), Path.replace

    def dying(self: Path, target: Path) -> Path:
        if next(calls) == death:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying)
        with contextlib.suppress(KeyboardInterrupt):
            make_secrets.main(root, {})
    make_secrets.main(root, {})
    known = json.loads((root / "all" / "secrets.json").read_text())
    for name, folder in folders(known).items():
        assert {file: (root / name / file).read_text() for file in folder.files} == folder.files
    assert (root / "serving" / "credentials.json").exists()


def test_secrets_are_changed_without_loss(root: Path) -> None:
    """Asked to, the next start makes every secret anew but those that something stored depends on."""
    make_secrets.main(root, {})
    document = root / "all" / "secrets.json"
    old, keys = json.loads(document.read_text()), (root / "serving" / "credentials.json").read_text()
    forget(document)
    make_secrets.main(root, {})
    new = json.loads(document.read_text())
    assert {name for name in old if new[name] == old[name]} == set(KEPT)
    assert new.keys() == old.keys()
    assert (root / "serving" / "credentials.json").read_text() == keys
