"""The secrets of the local stack: made at the first start, kept in two files that only their owner can read."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from local.layout import State
from pipeline.signing import make_key, public_key, read_key

USER = "admin"
OWNER_ONLY = 0o600
SECRETS = ("push_token", "jwt_secret", "api_secret")


@dataclass(frozen=True, slots=True)
class Keys:
    """``password`` is for people; the others are what programs show each other.

    ``release_key`` is public: what serving checks the signatures of releases with.
    """

    password: str
    push_token: str
    jwt_secret: str
    api_secret: str
    release_key: str


def read_or_make(state: State) -> Keys:
    """The keys of this state, the same ones at every start."""
    if not state.keys_file.exists():
        made = {"password": secrets.token_urlsafe(9), **{name: secrets.token_urlsafe(64) for name in SECRETS}}
        write_private(state.keys_file, json.dumps(made, indent=1))
    keys = Keys(**json.loads(state.keys_file.read_text()), release_key=_release_key(state.signing_key_file))
    write_private(state.passwords_file, json.dumps({USER: keys.password}))
    return keys


def _release_key(file: Path) -> str:
    """The public key beside the private one in ``file``, which is made when there is none."""
    key = read_key(file) if file.exists() else make_key(file)
    assert key is not None
    return public_key(key)


def write_private(path: Path, text: str) -> None:
    """Replace a file at once by one that nobody else could ever read."""
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    aside.replace(path)
