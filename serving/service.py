"""The parts of one serving process, put together. No HTTP here."""

from __future__ import annotations

from dataclasses import dataclass

from serving.access.door import Access, open_access
from serving.cache import open_runner
from serving.candidates import Candidates, open_candidates
from serving.last_good import LastGood
from serving.loading import Loading
from serving.probe import Probe
from serving.reconciler import Reconciler
from serving.replica import Replica
from serving.runner import Runner
from serving.seal import read_keys, sealed
from serving.settings import Settings
from serving.siblings import ALONE, Seat
from serving.slot import Slot
from serving.source import Source
from serving.store import open_store
from serving.throttle import Throttle, open_throttle


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes need."""

    settings: Settings
    slot: Slot
    reconciler: Reconciler
    probe: Probe
    access: Access
    throttle: Throttle
    runner: Runner
    replica: Replica
    candidates: Candidates


def build(settings: Settings, loading: Loading | None = None, seat: Seat = ALONE) -> Service:
    """The parts of the worker on ``seat``. Raises ``SettingsInvalid`` when the settings cannot be used."""
    source = Source(open_store(settings.store), settings.model, settings.max_model_bytes)
    slot = Slot()
    last_good = LastGood(settings.state, settings.model) if settings.state else None
    loading, keys = loading or Loading(), read_keys(settings.release_key)
    load, load_beside = sealed(loading.champion, keys), sealed(loading.beside, keys)
    reconciler = Reconciler(source, load, slot, settings.poll_seconds, last_good=last_good, load_beside=load_beside)
    probe = Probe(slot)
    return Service(
        settings,
        slot,
        reconciler,
        probe,
        open_access(settings),
        open_throttle(settings.rate_limit, settings.workers),
        open_runner(settings),
        Replica(reconciler, probe, seat, slot),
        open_candidates(source, loading.attempt, keys),
    )
