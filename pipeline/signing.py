"""Signs releases: an Ed25519 signature over the manifest. ``python -m pipeline.signing FILE`` makes a key for it.

Not here: what is signed (``pipeline/gate.py``), or the check of it (``serving/seal.py``).
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from pipeline.contract.bundle import to_json
from pipeline.errors import SettingsInvalid

OWNER_ONLY = 0o600
UNSIGNED = to_json({"key": None, "signature": None})


def sign(key: Ed25519PrivateKey | None, manifest: bytes) -> bytes:
    """The document ``signature.json`` for a manifest's bytes; without a key it says that there is none."""
    if key is None:
        return UNSIGNED
    signature = base64.b64encode(key.sign(manifest)).decode()
    return to_json({"key": key_id(public_key(key)), "signature": signature})


def public_key(key: Ed25519PrivateKey) -> str:
    """What serving is given to check with: 32 bytes as base64."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def key_id(public: str) -> str:
    """A short name of a public key: the beginning of its SHA-256."""
    return hashlib.sha256(base64.b64decode(public)).hexdigest()[:16]


def read_key(path: Path | None) -> Ed25519PrivateKey | None:
    """The private key in a PEM file; None when no file is set.

    Raises:
        SettingsInvalid: it cannot be read, or is no such key.
    """
    if path is None:
        return None
    advice = f"make one with `python -m pipeline.signing {path}`, or leave GAVEL_SIGNING_KEY empty"
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SettingsInvalid(f"the signing key {path} cannot be read ({error.strerror}); {advice}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingsInvalid(f"{path} is no PEM file of an unencrypted private key; {advice}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsInvalid(f"{path} holds a key of another kind than Ed25519; {advice}")
    return key


def make_key(path: Path) -> Ed25519PrivateKey:
    """Write a new private key that only its owner can read. One that is there stays: releases were signed with it.

    Raises:
        SettingsInvalid: there is a file already, or it cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    aside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)  # at once, and never over another
        finally:
            aside.unlink()
    except FileExistsError as error:
        raise SettingsInvalid(f"{path} is there already; name another file for another key") from error
    except OSError as error:
        raise SettingsInvalid(f"the signing key {path} cannot be written ({error.strerror})") from error
    return key


def main(arguments: list[str]) -> int:
    """Make the key if there is none; print what serving is to be given."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("python -m pipeline.signing FILE: make a signing key; print its public key\n")
        return 2
    path = Path(arguments[0])
    try:
        key = read_key(path) if path.exists() else make_key(path)
        assert key is not None
    except SettingsInvalid as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stderr.write(f"Set GAVEL_SIGNING_KEY to {path} for the pipeline, and SERVING_RELEASE_KEY for serving to:\n")
    sys.stdout.write(f"{public_key(key)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
