"""Follows challenger and shadow of the channel into the slot, in a thread of its own: the champion waits for nobody.

What the channel does not name any more leaves at once; what it names is loaded by the way of every release. Not here:
the champion, and the reading of the channel (``reconciler.py``).
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pipeline.contract.channel import Channel, Release
from pipeline.contract.status import Refusal
from serving import metrics
from serving.errors import ReleaseRefused, StoreUnavailable
from serving.loading import Load
from serving.quarantine import Quarantine
from serving.release import LoadedRelease
from serving.slot import Slot, is_of
from serving.source import Source

log = logging.getLogger(__name__)

Role = Literal["challenger", "shadow"]
ROLES: tuple[Role, ...] = ("challenger", "shadow")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What ought to have a role, since ``generation``; a shadow has no share."""

    release: Release
    generation: int
    share: float = 0.0


class Companions:
    """``want`` is the reconciler's; ``run`` is a thread.

    For who gives memory back: ``departed`` are the sessions of what has left, ``has_loaded``: files were in memory.
    """

    def __init__(self, source: Source, load: Load, slot: Slot, clock: Callable[[], float] = time.monotonic) -> None:
        self._source, self._load, self._slot, self._clock = source, load, slot, clock
        self._wanted: dict[Role, Wanted] = {}
        self._quarantines: dict[Role, Quarantine] = {}
        self._refusals: dict[Role, Refusal] = {}
        self._installing = threading.Lock()  # held for moments only, never while something is loaded
        self._may_load = False
        self._wake = threading.Event()
        self._stopping = False
        self.departed: deque[weakref.ref[object]] = deque()
        self.has_loaded = False
        self.trouble: str | None = None

    def refusal(self, role: Role) -> Refusal | None:
        """Why what ought to have the role has not."""
        return self._refusals.get(role)

    def want(self, channel: Channel, *, load: bool) -> None:
        """Follow the channel: let go of what it does not name; with ``load`` have the others loaded. Waits for none."""
        with self._installing:
            self._wanted, self._may_load = _wanted(channel), load
            for role in ROLES:
                self._let_go(role)
                self._install(role)
        if any(self._is_due(role) for role in ROLES):
            self._wake.set()

    def _let_go(self, role: Role) -> None:
        loaded, wanted = self._loaded(role), self._wanted.get(role)
        if loaded is not None and (wanted is None or not is_of(loaded, wanted.release)):
            self._put(role, None)
        known = self._quarantines.get(role)
        if known and (wanted is None or (known.release, known.generation) != (wanted.release, wanted.generation)):
            del self._quarantines[role]
            self._refusals.pop(role, None)  # who asks for it once more waits for the new verdict

    def _install(self, role: Role) -> None:
        """What is loaded here in another role, or has the role and another share, needs no load."""
        wanted = self._wanted.get(role)
        loaded = self._slot.find(wanted.release) if wanted else None
        if wanted and loaded and loaded is not self._slot.live:
            self._put(role, loaded, wanted.share)

    def _put(self, role: Role, release: LoadedRelease | None, share: float = 0.0) -> None:
        before = self._loaded(role)
        slot = self._slot
        left = slot.hold_challenger(release, share) if role == "challenger" else slot.hold_shadow(release)
        if left is not None:
            self.departed.append(weakref.ref(left.session))
        if before is not release:
            shown = None if release is None else {"version": release.version, "digest": release.digest, "share": share}
            log.info(f"{role} loaded" if release else f"{role} unloaded", extra={"fields": shown or {}})

    def _loaded(self, role: Role) -> LoadedRelease | None:
        return self._slot.challenger if role == "challenger" else self._slot.shadow

    def _is_due(self, role: Role) -> bool:
        """Is there something to load for the role, that was not refused a moment ago?"""
        wanted, known = self._wanted.get(role), self._quarantines.get(role)
        if wanted is None or not self._may_load or self._loaded(role) is not None:
            return False
        return known is None or not known.holds(wanted.release, wanted.generation, self._clock())

    def follow(self) -> None:
        """Load what is wanted and not here, the challenger first. Never raises: what went wrong can be asked for."""
        self.trouble = None
        for role in ROLES:
            wanted = self._wanted.get(role)
            if wanted is None or not self._is_due(role):
                continue
            try:
                self._follow(role, wanted)
            except StoreUnavailable as error:
                self.trouble = f"{role}: {error}"
            except Exception:
                log.exception(f"loading the {role} failed unexpectedly")
                self.trouble = f"{role}: an unexpected error; the log has it"
            self.has_loaded = True

    def _follow(self, role: Role, wanted: Wanted) -> None:
        try:
            files = self._source.files(wanted.release)
            loaded = self._load(self._source.model, wanted.release, files)
        except ReleaseRefused as error:
            self._refuse(role, wanted, str(error))
            return
        with self._installing:
            now = self._wanted.get(role)
            if now is None or now.release != wanted.release:
                self.departed.append(weakref.ref(loaded.session))  # the channel has changed its mind
                return
            self._quarantines.pop(role, None)
            self._refusals.pop(role, None)
            if self._slot.find(now.release) is None:
                self._put(role, loaded, now.share)

    def _refuse(self, role: Role, wanted: Wanted, reason: str) -> None:
        fields = {"version": wanted.release.version, "digest": wanted.release.digest, "reason": reason}
        log.error(f"{role} refused", extra={"fields": fields})
        metrics.REFUSALS.inc()
        with self._installing:
            now = self._wanted.get(role)
            if now is not None and now.release == wanted.release:
                self._refusals[role] = Refusal(wanted.release.version, wanted.release.digest, reason)
            known = self._quarantines.get(role)
            self._quarantines[role] = Quarantine.after(known, wanted.release, wanted.generation, self._clock())

    def run(self) -> None:
        """Load whenever there is something to load, until ``stop``."""
        while not self._stopping:
            self._wake.wait()
            self._wake.clear()
            if not self._stopping:
                self.follow()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()


def _wanted(channel: Channel) -> dict[Role, Wanted]:
    wanted: dict[Role, Wanted] = {}
    if channel.challenger is not None:
        wanted["challenger"] = Wanted(channel.challenger.release, channel.generation, channel.challenger.share)
    if channel.shadow is not None:
        wanted["shadow"] = Wanted(channel.shadow, channel.generation)
    return wanted
