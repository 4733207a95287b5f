"""Makes what is live what ought to be live: looks at the channel, loads, swaps, remembers what it refused and why.

Not here: how a release is read (``source.py``) or judged (``trial.py``, ``loader.py``); challenger and shadow
(``companions.py``), which are told of each look. ``poll_once`` decides, ``run`` repeats.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace

from pipeline.contract.channel import Channel, Release
from pipeline.contract.status import Refusal, Status
from serving import metrics
from serving.companions import Companions
from serving.errors import ReleaseRefused, StoreUnavailable
from serving.last_good import LastGood
from serving.loading import Load
from serving.memory import release_memory
from serving.quarantine import Quarantine
from serving.release import LoadedRelease
from serving.shadow import Shadow
from serving.slot import Slot, is_of
from serving.source import Source
from serving.variants import Variant

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the last look found; replaced whole. ``generation`` is that of the channel last followed to the end."""

    generation: int | None = None
    refusal: Refusal | None = None
    store_error: str | None = None
    quarantine: Quarantine | None = None


class Reconciler:
    """Follows the channel of ``source`` into ``slot``. On any failure the old release keeps answering.

    With ``last_good``, what went live is kept there, and is served from there while the store is away at the start.
    ``load_beside`` loads challenger and shadow, at the same time as ``load`` the champion.
    """

    def __init__(
        self,
        source: Source,
        load: Load,
        slot: Slot,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        last_good: LastGood | None = None,
        load_beside: Load | None = None,
    ) -> None:
        self._source, self._load, self._slot = source, load, slot
        self._seconds, self._clock = seconds, clock
        self._findings = Findings()
        self.companions = Companions(source, load_beside or load, slot, clock)
        self._last_good = self._last_good_at_start = last_good
        self._to_keep: tuple[Release, Mapping[str, bytes] | None] | None = None
        self._leaving: list[weakref.ref[object]] = []  # the sessions of releases that left the slot
        self._trim = False
        self._hints: deque[Future[None]] = deque()
        self._wake = threading.Event()
        self._stopping = False

    def status(self) -> Status:
        live, found, companions, beside = self._slot.live, self._findings, self.companions, self._slot.beside
        status = Status(
            model=self._source.model,
            ready=live is not None,
            generation=found.generation,
            refusal=found.refusal,
            store_error=found.store_error or companions.trouble,
            challenger=_digest(beside.challenger if beside else None),
            shadow=_digest(beside.shadow if beside else None),
            challenger_refusal=companions.refusal("challenger"),
            shadow_refusal=companions.refusal("shadow"),
        )
        if live is None:
            return status
        return replace(status, version=live.version, digest=live.digest, data_day=live.data_day, since=self._slot.since)

    def poll_once(self) -> None:
        """Look once and do what is to be done. Never raises: what went wrong is in ``status``."""
        before = self._findings
        try:
            self._findings = self._follow(self._source.wanted())
        except StoreUnavailable as error:
            self._findings = replace(self._findings, store_error=str(error))
        except Exception:
            log.exception("looking at the channel failed unexpectedly")
            self._findings = replace(self._findings, store_error="an unexpected error; the log has it")
        if self._slot.live is None and (self._findings.store_error or self._findings.refusal):
            self._start_with_last_good()
        self._give_memory_back()
        now = self._findings.store_error
        metrics.STORE_FAILED.set(now is not None)
        if now != before.store_error:
            log.log(logging.WARNING if now else logging.INFO, now or "the release store can be read again")

    def _follow(self, channel: Channel | None) -> Findings:
        found = replace(self._findings, store_error=None)
        if channel is None:
            return found
        wanted, live = channel.champion, self._slot.live
        if wanted is None or (live and is_of(live, wanted)) or self._go_back(wanted, channel.generation):
            self.companions.want(channel, load=True)
            return replace(found, generation=channel.generation)
        self.companions.want(channel, load=False)  # who is not wanted any more does not stay for the time of a load
        if found.quarantine and found.quarantine.holds(wanted, channel.generation, self._clock()):
            return found
        found = self._go_live(wanted, channel.generation)
        self.companions.want(channel, load=found.generation == channel.generation)
        return found

    def _go_back(self, wanted: Release, generation: int) -> bool:
        """To a release that is loaded already: the one before, the challenger, the shadow."""
        loaded = self._slot.find(wanted)
        if loaded is None:
            return False
        self._swap(loaded)
        self._to_keep = (wanted, None)
        self._log_live(wanted, generation, self._clock())
        return True

    def _go_live(self, wanted: Release, generation: int) -> Findings:
        started = self._clock()
        refusal = self._findings.refusal
        if refusal and refusal.digest == wanted.digest:
            # who deploys it once more must not read why it was refused the last time while it is being loaded
            self._findings = replace(self._findings, refusal=None)
        try:
            files = self._source.files(wanted)
            self._swap(self._load(self._source.model, wanted, files))
        except ReleaseRefused as error:
            return self._refuse(wanted, generation, str(error))
        self._to_keep = (wanted, files) if self._last_good else None
        self._log_live(wanted, generation, started)
        return Findings(generation=generation)

    def _swap(self, release: LoadedRelease) -> None:
        leaving = self._slot.swap(release)
        if leaving is None:
            self._trim = True
        else:
            self._leaving.append(weakref.ref(leaving.session))

    def _give_memory_back(self) -> None:
        """Once what left is really gone: requests that still hold it are waited for from look to look."""
        departed = self.companions.departed
        self._leaving += [departed.popleft() for _ in range(len(departed))]
        held = [each for each in self._leaving if each() is not None]
        if self._trim or self.companions.has_loaded or len(held) < len(self._leaving):
            self._trim = self.companions.has_loaded = False
            release_memory()
        self._leaving = held

    def _log_live(self, release: Release, generation: int | None, started: float) -> None:
        seconds = round(self._clock() - started, 3)
        fields = {"version": release.version, "digest": release.digest, "generation": generation, "seconds": seconds}
        log.info("release live", extra={"fields": fields})
        metrics.count_swap(self._source.model, release.version)

    def _start_with_last_good(self) -> None:
        """Answer with what this replica answered with before, if that is still good; tried once."""
        last_good, self._last_good_at_start = self._last_good_at_start, None
        kept = last_good.read() if last_good else None
        if kept is None:
            return
        release, files = kept
        started = self._clock()
        try:
            self._swap(self._load(self._source.model, release, files))
        except Exception as error:  # noqa: BLE001  it was worth a try; the channel is followed all the same
            log.warning(f"the last good release is ignored: {error}")
            return
        self._log_live(release, None, started)

    def keep_last_good(self) -> None:
        """Write down what went live at the last look. After the look, because nobody shall wait for the disk."""
        to_keep, self._to_keep = self._to_keep, None
        if to_keep is None or self._last_good is None:
            return
        release, files = to_keep
        try:
            self._last_good.keep(release, files or self._source.files(release))
        except Exception as error:  # noqa: BLE001  nothing about this may stop the following of the channel
            log.warning(f"the last good release is not kept: {error}")
        self._trim = True  # the files were still in memory when it was given back

    def _refuse(self, wanted: Release, generation: int, reason: str) -> Findings:
        fields = {"version": wanted.version, "digest": wanted.digest, "generation": generation, "reason": reason}
        log.error("release refused", extra={"fields": fields})
        metrics.REFUSALS.inc()
        self._trim = True
        return replace(
            self._findings,
            refusal=Refusal(wanted.version, wanted.digest, reason),
            store_error=None,
            quarantine=Quarantine.after(self._findings.quarantine, wanted, generation, self._clock()),
        )

    def hint(self) -> Future[None]:
        """Look at once. The future is done when a look that began after this call has ended."""
        future: Future[None] = Future()
        self._hints.append(future)
        self._wake.set()
        return future

    def run(self) -> None:
        """Look, wait, look again, until ``stop``. One event is both clock and switch."""
        while not self._stopping:
            self._wake.clear()
            hints = self._take_hints()
            self.poll_once()
            for future in filter(Future.set_running_or_notify_cancel, hints):
                future.set_result(None)
            self.keep_last_good()
            self._wake.wait(self._seconds)
        for future in self._take_hints():
            future.cancel()

    def _take_hints(self) -> list[Future[None]]:
        return [self._hints.popleft() for _ in range(len(self._hints))]

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()


def _digest(variant: Variant | Shadow | None) -> str | None:
    """Of what has the role: what is loaded and not yet asked by any request has not."""
    return None if variant is None else variant.release.digest
