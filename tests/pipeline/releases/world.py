"""A store with releases in it and what the tests of ``pipeline/releases`` do there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.contract.channel import Channel, Release
from pipeline.contract.ledger import Actor, Entry
from pipeline.deploy import Deployed, deploy
from pipeline.releases import read_channel
from pipeline.releases.ledger import read_entries
from pipeline.releases.publish import publish
from pipeline.releases.rollout import Target
from pipeline.store import Store
from pipeline.workspace import Ref, Workspace
from tests.pipeline.noted_registry import NotedRegistry
from tests.pipeline.tiny_model import DATASET, make_bundle

MODEL = DATASET.model_name
ANNA = Actor("person", "anna")
DAG = Actor("dag", "car_price_daily/scheduled", "http://airflow/run")
# version -> its bundle; the data day grows with it, but the last is a late run of an early day
BUNDLES = {number: make_bundle(1 + number / 100, f"2015-06-{number:02d}") for number in range(1, 6)}
BUNDLES[6] = make_bundle(1.06, "2015-05-31")
RELEASES = {
    number: Release(number, bundle.digest, bundle.manifest.data_day) for number, bundle in BUNDLES.items()
}  # fmt: skip


def target(store: Any, registry: Any = None, urls: Iterable[str] = (), timeout: float = 5.0) -> Target:
    return Target(store, registry or NotedRegistry(), MODEL, tuple(urls), "secret", timeout)


def bundle_ref(store: Store, number: int) -> Ref:
    return Workspace(store, "work").publish(f"bundle{number}", BUNDLES[number].files)


def put_live(at: Target, number: int, ref: Ref | None = None, who: Actor = DAG) -> Deployed:
    return deploy(at, ref or bundle_ref(at.store, number), number, who, f"run {number}")


def published(at: Target, *numbers: int) -> None:
    for number in numbers:
        publish(at.store, MODEL, number, BUNDLES[number])


def proven(release: Release, golden: Any) -> None:
    """A replica would have tried it."""


def channel_of(store: Store) -> Channel:
    return read_channel(store, MODEL).channel


def champion(store: Store) -> int | None:
    found = channel_of(store).champion
    return found.version if found else None


def entries(store: Store) -> list[Entry]:
    return [recorded.entry for recorded in read_entries(store, MODEL)]


def actions(store: Store) -> list[str]:
    return [entry.action for entry in entries(store)]
