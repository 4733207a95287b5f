"""Keys and signatures of releases."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipeline.errors import SettingsInvalid
from pipeline.signing import UNSIGNED, key_id, main, make_key, public_key, read_key, sign


def test_a_key_is_read_back_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    """Mode 0600, one file, nothing beside it."""
    made = make_key(tmp_path / "key.pem")
    found = read_key(tmp_path / "key.pem")
    assert found is not None
    assert public_key(found) == public_key(made)
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key.pem"]


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    """What was signed with it could not be checked any more."""
    first = public_key(make_key(tmp_path / "key.pem"))
    with pytest.raises(SettingsInvalid, match="is there already"):
        make_key(tmp_path / "key.pem")
    found = read_key(tmp_path / "key.pem")
    assert found is not None
    assert public_key(found) == first
    assert len(list(tmp_path.iterdir())) == 1


def test_a_signature_is_of_these_bytes_and_this_key(tmp_path: Path) -> None:
    """It names the key, and holds for no other manifest."""
    key = make_key(tmp_path / "key.pem")
    document = json.loads(sign(key, b"manifest"))
    assert document["key"] == key_id(public_key(key))
    signature = base64.b64decode(document["signature"])
    key.public_key().verify(signature, b"manifest")
    with pytest.raises(InvalidSignature):
        key.public_key().verify(signature, b"manifesto")


def test_without_a_key_the_document_says_so() -> None:
    """A release has the same files, signed or not."""
    assert read_key(None) is None
    assert json.loads(sign(None, b"manifest")) == json.loads(UNSIGNED) == {"key": None, "signature": None}


def test_a_key_that_cannot_be_used_is_said_with_the_way_out(tmp_path: Path) -> None:
    """Missing, no PEM, of another kind: each names the command that makes one."""
    other = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "text").write_text("not a key")
    (tmp_path / "rsa").write_bytes(other)
    for name, words in (("missing", "cannot be read"), ("text", "no PEM file"), ("rsa", "another kind than Ed25519")):
        with pytest.raises(SettingsInvalid, match=rf"{words}.*python -m pipeline\.signing"):
            read_key(tmp_path / name)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """No trace."""
    with pytest.raises(SettingsInvalid, match="cannot be written"):
        make_key(tmp_path / "none" / "key.pem")


def test_the_command_makes_a_key_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints the public key, and the same one at a second call."""
    assert main([str(tmp_path / "key.pem")]) == 0
    first = capsys.readouterr().out
    assert main([str(tmp_path / "key.pem")]) == 0
    assert capsys.readouterr().out == first
    assert len(base64.b64decode(first)) == 32


def test_the_command_says_what_it_wants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a file, with an option, with a file that is something else."""
    assert (main([]), main(["--help"])) == (2, 2)
    (tmp_path / "text").write_text("x")
    assert main([str(tmp_path / "text")]) == 1
    assert "no PEM file" in capsys.readouterr().err
