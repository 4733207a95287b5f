"""Does the very server that is to serve the model load it and answer the golden rows? It is asked first.

Not here: how a server is asked (``pipeline/replicas.py``), or how it tries a model (``serving``).
"""

from __future__ import annotations

from typing import Protocol

from pipeline.contract.bundle import Bundle, Golden
from pipeline.contract.certificate import Check
from pipeline.contract.channel import Release
from pipeline.errors import ModelRefused
from pipeline.releases.publish import publish
from pipeline.store import Store

GROUP = "server"


class Prover(Protocol):
    """Servers that try a release. Raises ``ModelRefused`` when one of them refuses it or answers otherwise."""

    def prove(self, release: Release, golden: Golden, *, candidate: bool = False) -> None: ...


def answers(store: Store, prover: Prover | None, candidate: Bundle, version: int) -> Check:
    """The candidate is laid where servers look for candidates, and tried there.

    Raises:
        DeployFailed: a server could not try it now; try again.
    """
    if prover is None:
        return Check(GROUP, "answers", None, None, True, "no serving address is set, so no server was asked")
    release = publish(store, candidate.manifest.model_name, version, candidate, candidate=True)
    rows = len(candidate.golden.rows)
    try:
        prover.prove(release, candidate.golden, candidate=True)
    except ModelRefused as error:
        return Check(GROUP, "answers", None, rows, False, str(error))
    return Check(
        GROUP, "answers", rows, rows, True, f"every server loads it and answers its {rows} golden rows as recorded"
    )
