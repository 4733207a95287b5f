"""The secrets of the local stack: made at the first start, kept in one file that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from local.layout import State

USER = "admin"
OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class Keys:
    """``password`` is for people; the others are what programs show each other."""

    password: str
    push_token: str
    jwt_secret: str
    api_secret: str


def read_or_make(state: State) -> Keys:
    """The keys of this state, the same ones at every start."""
    if not state.keys_file.exists():
        made = Keys(secrets.token_urlsafe(9), *(secrets.token_urlsafe(64) for _ in fields(Keys)[1:]))
        write_private(state.keys_file, json.dumps(asdict(made), indent=1))
    keys = Keys(**json.loads(state.keys_file.read_text()))
    write_private(state.passwords_file, json.dumps({USER: keys.password}))
    return keys


def write_private(path: Path, text: str) -> None:
    """Replace a file at once by one that nobody else could ever read."""
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    aside.replace(path)
