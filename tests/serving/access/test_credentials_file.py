"""serving/access/credentials_file.py"""

import hashlib
import json
import logging

import pytest

from serving.access import credentials_file
from serving.access.credentials import CredentialsInvalid
from serving.access.credentials_file import CredentialsFile, read_document
from tests.serving.access.conftest import DOCUMENT, key_entry


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch):
    monkeypatch.setattr(credentials_file, "LOOK_SECONDS", 0.0)


def knows(file, key):
    return hashlib.sha256(key.encode()).digest() in file.current().keys


def replace(path, document):
    aside = path.with_suffix(".new")
    aside.write_text(document if isinstance(document, str) else json.dumps(document))
    aside.replace(path)


def test_a_changed_file_is_read_again(credentials):
    """A new key is good and a removed one is not, without a restart."""
    file = CredentialsFile(credentials)
    assert knows(file, "predict-key")
    replace(credentials, {"keys": [key_entry("new-key", "carol", "predict")]})
    assert (knows(file, "new-key"), knows(file, "predict-key")) == (True, False)


def test_the_file_is_looked_at_once_a_second(credentials, monkeypatch):
    """In between nothing touches the disk."""
    monkeypatch.setattr(credentials_file, "LOOK_SECONDS", 1.0)
    now = [100.0]
    monkeypatch.setattr(credentials_file.time, "monotonic", lambda: now[0])
    file = CredentialsFile(credentials)
    replace(credentials, {})
    now[0] = 100.9
    assert knows(file, "predict-key")
    now[0] = 101.0
    assert not knows(file, "predict-key")


@pytest.mark.parametrize("damage", ["{", "{}x", '{"keys": [{}]}', "x" * 2_000_000, None])
def test_a_damaged_file_keeps_the_old_keys_and_is_logged_once(credentials, caplog, damage):
    """Also one that is away. When it is whole again it counts again."""
    file = CredentialsFile(credentials)
    credentials.unlink() if damage is None else replace(credentials, damage)
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            assert knows(file, "predict-key")
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    replace(credentials, {"keys": DOCUMENT["keys"][1:]})
    assert (knows(file, "predict-key"), knows(file, "admin-key")) == (False, True)


def test_the_push_token_is_an_admin_key_also_after_a_change(credentials):
    """With or without a file."""
    assert CredentialsFile(None, "hush").current().has_admin
    file = CredentialsFile(credentials, "hush")
    replace(credentials, {})
    assert knows(file, "hush")
    assert file.current().has_admin


def test_without_file_and_token_nobody_is_known():
    """And nothing is looked at."""
    assert not CredentialsFile(None).current().keys


@pytest.mark.parametrize("text", ["{", None])
def test_at_the_start_a_file_that_cannot_be_used_is_an_error(tmp_path, text):
    """It names the file."""
    path = tmp_path / "keys.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CredentialsInvalid, match=r"keys\.json"):
        CredentialsFile(path)


def test_a_folder_is_not_a_credentials_file(tmp_path):
    """One sentence, no trace."""
    with pytest.raises(CredentialsInvalid, match="cannot be read"):
        read_document(tmp_path)
