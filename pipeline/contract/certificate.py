"""The certificate: what the gate checked of a bundle before it became a release, each check with figure and verdict.

Not here: the checks (``pipeline/checks``), its signature (``pipeline/signing.py``, ``serving/seal.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from pipeline.contract.bundle import to_json
from pipeline.contract.channel import Release

FORMAT = 1
Mode = Literal["enforce", "dry-run", "off"]


class CertificateInvalid(ValueError):
    """The document cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``figure`` and ``limit`` are None where there was nothing to compare; ``text`` is for people.

    ``group`` is one of data, quality, parity, cost, server. ``warned``: it passed, and somebody should look.
    """

    group: str
    name: str
    figure: float | None
    limit: float | None
    passed: bool
    text: str
    warned: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was found of version ``version`` of ``model`` at ``made_at`` (ISO, UTC).

    ``subject`` is the digest of the bundle before it was certified; ``champion`` is what it was compared with.
    ``forced`` is the reason of a person who lets it go live although a check failed; otherwise it is empty.
    """

    model: str
    version: int
    subject: str
    made_at: str
    mode: Mode
    checks: tuple[Check, ...]
    champion: Release | None = None
    forced: str = ""

    @property
    def passed(self) -> bool:
        """Did every check pass?"""
        return all(check.passed for check in self.checks)

    @property
    def allowed(self) -> bool:
        """May it go live? Also when it was forced, or when refusals are only told."""
        return self.passed or bool(self.forced) or self.mode != "enforce"

    @property
    def verdict(self) -> str:
        """In a word or two, for people and tags."""
        if self.passed:
            return "passed" if self.mode == "enforce" else f"passed ({self.mode})"
        if self.mode != "enforce":
            return f"refused ({self.mode})"
        return "forced" if self.forced else "refused"

    def to_bytes(self) -> bytes:
        return to_json({"format": FORMAT, "passed": self.passed, **asdict(self)})


def read(data: bytes) -> Certificate:
    """Raises ``CertificateInvalid`` when the document is not a certificate of this format."""
    try:
        document = json.loads(data)
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']} is not known here (expected {FORMAT})")
        found = _certificate(document)
        if document["passed"] is not found.passed:
            raise ValueError(f"it says passed = {document['passed']}, its checks say {found.passed}")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CertificateInvalid(f"the certificate cannot be read: {error!r}") from error
    return found


def _certificate(document: Mapping[str, Any]) -> Certificate:
    champion, mode = document["champion"], document["mode"]
    if mode not in get_args(Mode):
        raise ValueError(f"{mode!r} is no mode of the gate")
    return Certificate(
        model=str(document["model"]),
        version=int(document["version"]),
        subject=str(document["subject"]),
        made_at=str(document["made_at"]),
        mode=mode,
        checks=tuple(_check(check) for check in document["checks"]),
        champion=None if champion is None else Release(**champion),
        forced=str(document["forced"]),
    )


def _check(document: Mapping[str, Any]) -> Check:
    check = Check(**document)
    if type(check.passed) is not bool:
        raise ValueError(f"the check {check.name!r} has no verdict")
    return check
