"""The credentials file, read again when it changes. What is in it is ``credentials.py``'s; nothing is written here."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path

from serving.access.credentials import NONE, Credentials, CredentialsDocument, CredentialsInvalid, index, parse

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
MAX_BYTES = 1 << 20
PUSH_TOKEN = "push-token"  # noqa: S105 - the name of the caller that brings it
Stamp = tuple[int, int, int]


class CredentialsFile:
    """The credentials of ``path``, or none, and the push token, if any, as one more admin key.

    A change is seen within a second. A file that is damaged or away changes nothing and is one line in the log.
    """

    def __init__(self, path: Path | None, push_token: str = "") -> None:
        """Raises ``CredentialsInvalid`` when the file cannot be used at the start."""
        self._path, self._push_token = path, push_token
        self._look_at = math.inf if path is None else time.monotonic() + LOOK_SECONDS
        self._stamp = path and _stamp(path)
        self._current = self._read()

    def current(self) -> Credentials:
        """At most once a second this looks whether the file has changed, on the way of whoever asks.

        Not in the background: a key that was removed must not be good for one more request after a quiet hour.
        """
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_SECONDS
            self._look()
        return self._current

    def _look(self) -> None:
        stamp = self._path and _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._current = self._read()
            log.info("the credentials were read again", extra={"fields": {"file": str(self._path)}})
        except CredentialsInvalid as error:
            fields = {"reason": str(error)}
            log.error("the credentials cannot be read; those read before stay good", extra={"fields": fields})  # noqa: TRY400 - the reason says it all

    def _read(self) -> Credentials:
        credentials = NONE if self._path is None else index(read_document(self._path))
        return credentials.with_key(PUSH_TOKEN, "admin", self._push_token) if self._push_token else credentials


def read_document(path: Path) -> CredentialsDocument:
    """Raises ``CredentialsInvalid`` when the file is away, too large, or not what it ought to be."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CredentialsInvalid(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise CredentialsInvalid(f"{path} has more than {MAX_BYTES} bytes")
    try:
        return parse(data)
    except CredentialsInvalid as error:
        raise CredentialsInvalid(f"{path} is not a credentials file: {error}") from None


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
