"""The secrets of the local stack."""

import json
import stat

import pytest

from local.keys import read_or_make, write_private
from local.layout import State


@pytest.fixture
def state(tmp_path):
    found = State(tmp_path / "state")
    found.make()
    return found


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_can_read_them(state):
    """Neither the files nor the folders."""
    read_or_make(state)
    assert {mode(state.keys_file), mode(state.passwords_file), mode(state.signing_key_file)} == {0o600}
    assert {mode(folder) for folder in (state.root, state.airflow, state.store, state.logs)} == {0o700}


def test_they_stay_the_same(state):
    """A second start does not log anybody out."""
    assert read_or_make(state) == read_or_make(state)


def test_they_differ_from_machine_to_machine(state, tmp_path):
    """Nothing is built in."""
    other = State(tmp_path / "other")
    other.make()
    ours, theirs = read_or_make(state), read_or_make(other)
    assert ours.password != theirs.password
    assert len({ours.push_token, ours.jwt_secret, ours.api_secret, theirs.jwt_secret}) == 4
    assert len(ours.jwt_secret) >= 64  # of an HMAC with SHA-512


def test_what_the_pipeline_signs_serving_can_check(state):
    """The public key belongs to the private one in the file."""
    from pipeline.signing import public_key, read_key

    assert read_or_make(state).release_key == public_key(read_key(state.signing_key_file))


def test_a_state_from_before_there_were_signatures_gets_a_key(state):
    """Its other keys stay."""
    before = read_or_make(state)
    state.signing_key_file.unlink()
    after = read_or_make(state)
    assert after.push_token == before.push_token
    assert after.release_key != before.release_key


def test_airflow_gets_the_password(state):
    """Even if its file was lost or changed."""
    keys = read_or_make(state)
    state.passwords_file.write_text("{}")
    read_or_make(state)
    assert json.loads(state.passwords_file.read_text()) == {"admin": keys.password}


def test_a_readable_file_is_replaced_by_a_private_one(tmp_path):
    """And never written while others can read it."""
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")
    assert (file.read_text(), mode(file)) == ("new", 0o600)
