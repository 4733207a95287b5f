"""The parts of one serving process, put together. No HTTP here."""

from __future__ import annotations

from dataclasses import dataclass

from serving.access.door import Access, open_access
from serving.loader import load
from serving.probe import Probe
from serving.reconciler import Reconciler
from serving.runner import Runner
from serving.settings import Settings
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


def build(settings: Settings) -> Service:
    """Raises ``SettingsInvalid`` when the settings cannot be used."""
    source = Source(open_store(settings.store), settings.model, settings.max_model_bytes)
    slot = Slot()
    reconciler = Reconciler(source, load, slot, settings.poll_seconds)
    return Service(
        settings,
        slot,
        reconciler,
        Probe(slot),
        open_access(settings),
        open_throttle(settings.rate_limit, settings.workers),
        Runner(settings.max_waiting),
    )
