"""A release tried on request: read from the release store of this process, run in the trial process, never live here.

Not here: how a trial is run (``trial.py``), or who may ask (``access``).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from pipeline.contract.channel import Release
from serving import seal
from serving.body import strict_json
from serving.errors import Overloaded, ReleaseMissing, ReleaseRefused, RequestRefused, StoreUnavailable, Unavailable
from serving.loading import Attempt
from serving.source import Source


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request for a trial. A ``candidate`` has not been through the gate and bears no seal."""

    version: Annotated[int, msgspec.Meta(ge=1, le=1 << 53)]
    digest: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    candidate: bool


class Tried(msgspec.Struct, frozen=True):
    """``answers`` are those to the golden rows, by output; none when there is a ``problem``: why it may not go live."""

    digest: str
    answers: Sequence[Mapping[str, float]] = ()
    problem: str | None = None


def read_asked(body: bytes) -> Asked:
    """Raises ``RequestRefused`` when the body is not what it ought to be."""
    try:
        return msgspec.convert(strict_json(body), Asked)
    except msgspec.ValidationError as error:
        message = f'the body must be {{"version": 1, "digest": "...", "candidate": false}}: {error}'
        raise RequestRefused("bad_request", message) from error


@dataclass(frozen=True, slots=True)
class Candidates:
    """Tries one release at a time; ``keys`` are of those who may sign releases."""

    source: Source
    attempt: Attempt
    keys: seal.Keys
    _busy: threading.Lock

    def try_out(self, asked: Asked) -> Tried:
        """What became of it. Takes as long as a trial may.

        Raises:
            Overloaded: another one is being tried.
            RequestRefused: not_found: it is not in the store.
            Unavailable: the store or the trial process does not answer now.
        """
        if not self._busy.acquire(blocking=False):
            raise Overloaded("a release is being tried here; try again in a moment")
        try:
            return Tried(asked.digest, self._answers(asked))
        except ReleaseRefused as error:
            return Tried(asked.digest, problem=str(error))
        except ReleaseMissing as error:
            raise RequestRefused("not_found", str(error)) from error
        except StoreUnavailable as error:
            raise Unavailable(str(error)) from error
        finally:
            self._busy.release()

    def _answers(self, asked: Asked) -> Sequence[Mapping[str, float]]:
        release = Release(asked.version, asked.digest, "")
        files = self.source.files(release, candidate=asked.candidate)
        if self.keys and not asked.candidate:
            seal.check(release, files, self.keys)
        return self.attempt(self.source.model, release, files)


def open_candidates(source: Source, attempt: Attempt, keys: seal.Keys) -> Candidates:
    return Candidates(source, attempt, keys, threading.Lock())
