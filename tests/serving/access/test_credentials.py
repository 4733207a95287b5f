"""serving/access/credentials.py"""

import hashlib
import json

import pytest

from serving.access.credentials import CredentialsInvalid, index, parse
from tests.serving.access.conftest import AWS_SECRET, DOCUMENT, aws_entry, key_entry


def test_keys_are_found_by_their_sha256_and_pairs_by_their_id():
    """Each entry gives a name and a role; the API key itself is nowhere."""
    credentials = index(parse(json.dumps(DOCUMENT).encode()))
    known = credentials.keys[hashlib.sha256(b"predict-key").digest()]
    assert (known.caller.name, known.caller.role, known.not_after) == ("alice", "predict", None)
    assert credentials.aws["AKIDEXAMPLE"].secret == AWS_SECRET
    assert credentials.has_admin


def test_secrets_are_not_in_what_is_printed():
    """Neither of the document nor of what is made of it."""
    document = parse(json.dumps(DOCUMENT).encode())
    assert AWS_SECRET not in repr(document)
    assert AWS_SECRET not in repr(index(document))


BAD = {
    "no json": b"{",
    "not utf-8": b'{"keys": "\xff"}',
    "deep": b"[" * 100_000,
    "a list": b"[]",
    "unknown member": b'{"kyes": []}',
    "unknown role": json.dumps({"keys": [key_entry("k", "a", "root")]}).encode(),
    "bad name": json.dumps({"keys": [key_entry("k", "a b\n", "admin")]}).encode(),
    "plain key": json.dumps({"keys": [{"name": "a", "role": "admin", "sha256": "secret"}]}).encode(),
    "upper case": json.dumps({"keys": [{"name": "a", "role": "admin", "sha256": "A" * 64}]}).encode(),
    "time without zone": json.dumps({"keys": [key_entry("k", "a", "admin", not_after="2030-01-01T00:00:00")]}).encode(),
    "a name twice": json.dumps({"keys": [key_entry("k", "a", "admin"), key_entry("l", "a", "admin")]}).encode(),
    "a key twice": json.dumps({"keys": [key_entry("k", "a", "admin"), key_entry("k", "b", "admin")]}).encode(),
    "an id twice": json.dumps({"aws": [aws_entry(), aws_entry(name="b")]}).encode(),
    "short secret": json.dumps({"aws": [aws_entry(secret_access_key="hush")]}).encode(),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_used_is_refused_without_repeating_secrets(name):
    """A mistake is not half used, and the message may be logged."""
    with pytest.raises(CredentialsInvalid) as refused:
        parse(BAD[name])
    assert "secret" not in str(refused.value).replace("secret_access_key", "")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"])
def test_every_time_that_can_be_written_can_be_used(moment):
    """The first and last hours of the calendar are no error."""
    document = json.dumps({"keys": [key_entry("k", "a", "admin", not_after=moment)]}).encode()
    assert index(parse(document)).keys
