"""Readiness: can this process answer now? Shown by a real prediction, not by a flag."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from onnxruntime import InferenceSession

from serving import golden
from serving.errors import NotReady
from serving.release import LoadedRelease
from serving.slot import Slot


@dataclass(frozen=True, slots=True)
class Proof:
    """When (monotonic) which release answered its first golden row, and what was wrong with the answer."""

    session: weakref.ref[InferenceSession]  # weak: a release that left must not stay in memory until the next question
    at: float
    wrong: str | None


class Probe:
    """Asks the live release for its first golden row; an answer counts for ``max_age`` seconds."""

    def __init__(self, slot: Slot, max_age: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._slot, self._max_age, self._clock = slot, max_age, clock
        self._proof: Proof | None = None
        self.draining = False

    def drain(self) -> None:
        """Say from now on that this process is not ready: it is going to end."""
        self.draining = True

    def check(self) -> LoadedRelease:
        """The release that just proved that it answers. Raises ``NotReady`` with the reason."""
        if self.draining:
            raise NotReady("this process is shutting down")
        release = self._slot.take()
        proof = self._proof
        if proof is None or proof.session() is not release.session or self._clock() - proof.at > self._max_age:
            proof = self._proof = Proof(weakref.ref(release.session), self._clock(), _wrong(release))
        if proof.wrong:
            raise NotReady(proof.wrong)
        return release


def _wrong(release: LoadedRelease) -> str | None:
    try:
        return golden.mismatch(release, 1)
    except Exception as error:  # noqa: BLE001  whatever it is, a release that cannot answer is not ready
        return f"the live release failed on a golden row: {type(error).__name__}"
