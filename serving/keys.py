"""``python -m serving.keys``: make, list and remove API keys in a credentials file. Servers see it in a second."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from serving.access.credentials import CredentialsDocument, CredentialsInvalid, parse
from serving.access.credentials_file import read_document

PREFIX = "gavel_"


def add(path: Path, name: str, role: str, not_after: datetime | None = None) -> str:
    """Make a key, and answer it: it is written nowhere, only its SHA-256 is. Raises ``CredentialsInvalid``."""
    key = PREFIX + secrets.token_urlsafe(32)
    entry = {"name": name, "role": role, "sha256": hashlib.sha256(key.encode()).hexdigest(), "not_after": not_after}
    with _locked(path):
        document = msgspec.to_builtins(_read(path))
        _write(path, {**document, "keys": [*document["keys"], entry]})
    return key


def remove(path: Path, name: str) -> None:
    """Raises ``CredentialsInvalid`` when there is no entry of this name."""
    with _locked(path):
        document = read_document(path)
        kept = [key for key in document.keys if key.name != name]
        kept_pairs = [pair for pair in document.aws if pair.name != name]
        if len(kept) + len(kept_pairs) == len(document.keys) + len(document.aws):
            raise CredentialsInvalid(f"{path} has no key named {name!r}")
        _write(path, {"keys": kept, "aws": kept_pairs})


def listing(document: CredentialsDocument) -> Iterator[str]:
    """One line an entry; no secret is in it."""
    entries = [(entry, "API key") for entry in document.keys] + [(entry, "AWS key pair") for entry in document.aws]
    for entry, kind in entries:
        until = f"until {entry.not_after.isoformat()}" if entry.not_after else "no end"
        yield f"{entry.name}\t{entry.role}\t{kind}\t{until}"


def _read(path: Path) -> CredentialsDocument:
    return read_document(path) if path.exists() else CredentialsDocument()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One writer at a time. The folder is locked, since the file itself is replaced."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: Path, document: dict[str, object]) -> None:
    """Checked as a server will read it, then whole or not at all; only its owner may read it."""
    data = msgspec.json.format(msgspec.json.encode(document), indent=1)
    parse(data)
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m serving.keys", description="API keys of the serving process")
    actions = parser.add_subparsers(dest="action", required=True)
    for action, does in (("add", "make a key and print it, once"), ("list", "who has one"), ("remove", "take it back")):
        made = actions.add_parser(action, help=does)
        made.add_argument("file", type=Path, metavar="FILE", help="what SERVING_CREDENTIALS names")
        if action != "list":
            made.add_argument("--name", required=True, help="whose key it is")
        if action == "add":
            made.add_argument("--role", required=True, choices=("predict", "admin"))
            made.add_argument("--not-after", type=_moment, metavar="TIME", help="ISO 8601; UTC unless it says more")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    given = _arguments(argv)
    path = given.file.resolve()
    try:
        lines = _do(path, given)
    except (CredentialsInvalid, OSError) as error:
        sys.exit(f"serving.keys: {error}")
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _do(path: Path, given: argparse.Namespace) -> list[str]:
    """The lines to print."""
    if given.action == "add":
        return [add(path, given.name, given.role, given.not_after)]
    if given.action == "remove":
        remove(path, given.name)
        return []
    return list(listing(read_document(path)))


if __name__ == "__main__":
    main()
