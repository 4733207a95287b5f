"""The alias ``champion`` moved by hand in a real MLflow: it goes live, or it is put back and the version says why."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from pipeline.alias import Followed, follow_alias
from pipeline.contract.ledger import Entry
from pipeline.deploy import Deployed, deploy
from pipeline.errors import DeployFailed, RegistryUnavailable
from pipeline.registry import Registry
from pipeline.registry_entries import Aliased, Version
from pipeline.releases import read_channel
from pipeline.releases.history import verify
from pipeline.releases.ledger import read_entries
from pipeline.releases.publish import publish
from pipeline.releases.rollout import Target
from pipeline.releases.trial import canary, quarantine
from pipeline.store import Store, open_store
from tests.pipeline.fake_serving import FakeServing
from tests.pipeline.mlflow_server import Proxy, mlflow_server
from tests.pipeline.noted_registry import NotedRegistry
from tests.pipeline.releases.turns import Stepped
from tests.pipeline.releases.world import ANNA, BUNDLES, DAG, MODEL, bundle_ref
from tests.pipeline.test_registry import start, version_of

URL = "http://airflow/dags/car_price_alias/runs/1"
VERSIONS = 5


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of our own, as version numbers matter here."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
def registry(mlflow: str) -> Registry:
    """MLflow with versions 1 to 5 of the model and no alias."""
    found = Registry(mlflow)
    if found.client.search_registered_models(f"name = '{MODEL}'"):
        found.client.delete_registered_model(MODEL)
    run = start(found, MODEL)
    logged = version_of(found, MODEL, run, "1").logged_model
    for number in range(2, VERSIONS + 1):
        tags = {"fingerprint": str(number)}
        found.add_version(MODEL, "about", run=run, logged_model=logged, tags=tags, card="card")
    return found


@pytest.fixture
def target(store: Store, registry: Registry, serving: FakeServing) -> Target:
    """Versions 1 and 2 were live, one after the other; 3 is published; 4 and 5 are in MLflow only."""
    at = Target(store, registry, MODEL, (serving.url,), "secret", 5.0)
    put_live(at, 1)
    put_live(at, 2)
    publish(store, MODEL, 3, BUNDLES[3])
    return at


def put_live(at: Target, number: int) -> Deployed:
    return deploy(at, bundle_ref(at.store, number), number, DAG, "new")


def by_hand(at: Target, number: int | None) -> None:
    """As a person does it in the MLflow page: the alias moves, our tag does not."""
    if number is None:
        at.registry.client.delete_registered_model_alias(MODEL, "champion")
    else:
        at.registry.client.set_registered_model_alias(MODEL, "champion", str(number))


def follow(at: Target, meanwhile: Callable[[], Any] = lambda: None) -> Followed:
    return follow_alias(at, URL, lambda seconds: meanwhile())


def live(at: Target) -> int | None:
    champion = read_channel(at.store, MODEL).channel.champion
    return champion.version if champion else None


def last(at: Target) -> Entry:
    return read_entries(at.store, MODEL)[-1].entry


def refusal(at: Target, number: int) -> str:
    return at.registry.version(MODEL, number).tags.get("alias_refused", "")


def agreed(at: Target, number: int) -> bool:
    """Channel, replica, alias and tag name the same version, and the ledger is whole."""
    aliased = at.registry.aliased(MODEL)
    return (live(at), aliased, verify(at.store, MODEL, pause=0)) == (number, Aliased(number, number), [])


def test_a_deploy_is_not_taken_for_a_persons_move(target: Target) -> None:
    """It leaves alias and tag alike, and there is nothing to do."""
    assert agreed(target, 2)
    assert follow(target) == Followed("nobody has moved the alias")
    assert len(read_entries(target.store, MODEL)) == 2


def test_moved_to_a_newer_good_version_it_goes_live(target: Target, serving: FakeServing) -> None:
    """Recorded as a promotion by the alias, with the address of the run."""
    by_hand(target, 3)
    assert follow(target) == Followed("version 3 is live", 3, live=True)
    assert agreed(target, 3)
    assert serving.version == 3
    assert (last(target).action, last(target).who.kind, last(target).who.url) == ("promote", "alias", URL)
    assert last(target).why == "somebody moved the alias to version 3"


def test_moved_to_an_older_version_is_a_rollback(target: Target) -> None:
    """The one that is left is quarantined, so that the next daily run does not bring it back."""
    by_hand(target, 1)
    assert follow(target).live
    assert agreed(target, 1)
    assert last(target).action == "rollback"
    assert read_channel(target.store, MODEL).channel.quarantined == (2,)


def test_moved_to_the_challenger_it_is_promoted(target: Target) -> None:
    """And is on trial no more."""
    canary(target, 3, 0.1, ANNA, "try it")
    by_hand(target, 3)
    assert follow(target).live
    assert agreed(target, 3)
    assert read_channel(target.store, MODEL).channel.challenger is None


def test_moved_to_a_version_that_the_gate_refused(target: Target) -> None:
    """The alias is put back, and the version says when and why."""
    target.registry.tag_version(MODEL, 4, {"gate": "refused", "gate_reason": "worse than the champion by 12 %"})
    by_hand(target, 4)
    found = follow(target)
    assert (found.moved, found.live) == (4, False)
    assert (
        found.message == "the alias names version 2 again: the gate refused version 4: worse than the champion by 12 %"
    )
    assert agreed(target, 2)
    assert refusal(target, 4).startswith("20")
    assert refusal(target, 4).endswith("the gate refused version 4: worse than the champion by 12 %")


def test_moved_to_a_version_without_a_release(target: Target) -> None:
    """It was never published."""
    by_hand(target, 5)
    assert not follow(target).live
    assert agreed(target, 2)
    assert "there is no whole release 5 of" in refusal(target, 5)


def test_moved_to_a_quarantined_version(target: Target) -> None:
    """The tag says since when and why, and how to let it go."""
    quarantine(target, 3, ANNA, "wrong scale")
    by_hand(target, 3)
    assert not follow(target).live
    assert agreed(target, 2)
    assert "quarantined" in refusal(target, 3)
    assert "wrong scale" in refusal(target, 3)


def test_moved_to_a_release_that_does_not_load(target: Target, serving: FakeServing) -> None:
    """It is tried before the channel moves."""
    serving.mood = "refuses"
    by_hand(target, 3)
    assert not follow(target).live
    assert agreed(target, 2)
    assert "refuses it: it takes more than 2 GB" in refusal(target, 3)


def test_moved_to_a_version_that_is_deleted_then(target: Target) -> None:
    """MLflow drops the alias with it; the champion gets it back, and nothing else happens."""
    by_hand(target, 4)
    target.registry.client.delete_model_version(MODEL, "4")
    found = follow(target)
    assert not found.live
    assert agreed(target, 2)


def test_the_alias_deleted(target: Target) -> None:
    """That takes nothing out: it comes back."""
    by_hand(target, None)
    assert follow(target).message == "the alias names version 2 again: the alias was removed, and version 2 stays live"
    assert agreed(target, 2)


def test_before_anything_is_live_the_alias_is_removed(store: Store, registry: Registry) -> None:
    """There is no release behind it, and nothing to put it back to."""
    at = Target(store, registry, MODEL, (), "", 5.0)
    by_hand(at, 4)
    assert not follow(at).live
    assert registry.aliased(MODEL) == Aliased(None, None)
    assert "there is no whole release 4" in refusal(at, 4)


def test_killed_between_alias_and_tag_only_the_tag_is_mended(target: Target) -> None:
    """The alias names what is live, so nobody has moved it."""
    target.registry.client.set_registered_model_tag(MODEL, "gavel.champion", "1")
    assert follow(target) == Followed("the alias names version 2, which is live; noted")
    assert agreed(target, 2)
    assert len(read_entries(target.store, MODEL)) == 2


def test_what_is_seen_once_only_is_a_deploy(target: Target) -> None:
    """Between alias and tag of a deploy there is a moment; a second look tells."""
    by_hand(target, 3)
    found = follow(target, lambda: by_hand(target, 2))
    assert found == Followed("nobody has moved the alias")
    assert agreed(target, 2)


def test_moved_twice_the_last_one_counts(target: Target) -> None:
    """As long as it moves it is looked at again."""
    by_hand(target, 4)
    moves = iter([1])
    found = follow(target, lambda: by_hand(target, next(moves, 1)))
    assert found.moved == 1
    assert agreed(target, 1)


def test_moved_during_a_deploy(target: Target, serving: FakeServing) -> None:
    """While the deploy waits for a replica the alias does not look moved; once it is, the person is obeyed."""
    serving.mood = "stuck"
    done: list[Any] = []
    deploying = threading.Thread(target=lambda: done.append(put_live(target, 3)))
    deploying.start()
    while live(target) != 3:
        time.sleep(0.01)
    assert follow(target) == Followed("nobody has moved the alias")
    by_hand(target, 1)
    serving.mood = "well"
    found = _until_done(target)
    deploying.join()
    assert found.live
    assert agreed(target, 1)
    assert last(target).who.kind == "alias"
    assert [each.message for each in done if isinstance(each, Deployed)]


def _until_done(at: Target) -> Followed:
    """As Airflow does: what changes just now is tried again."""
    for _ in range(10):
        try:
            found = follow(at)
        except DeployFailed:
            continue
        if found.live:
            return found
        by_hand(at, 1)  # the deploy was done first and has moved it; the person insists
    raise AssertionError(at.registry.aliased(MODEL))


def test_again_is_the_same(target: Target) -> None:
    """Whatever it did, a second call finds nothing to do."""
    for number in (3, 5):
        by_hand(target, number)
        follow(target)
        before = len(read_entries(target.store, MODEL))
        assert follow(target) == Followed("nobody has moved the alias")
        assert len(read_entries(target.store, MODEL)) == before


def test_mlflow_away_is_tried_again(target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is changed meanwhile, and the reason for the refusal is written before the alias is put back."""
    for name, value in {"TIMEOUT": "1", "MAX_RETRIES": "0", "BACKOFF_FACTOR": "0"}.items():
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", value)
    proxy = Proxy(target.registry.uri)
    proxy.spoil = lambda method, path: "lost request" if "alias" in path and method != "GET" else ""
    broken = Target(target.store, Registry(proxy.url), MODEL, target.urls, "secret", 5.0)
    by_hand(target, 5)
    with pytest.raises(RegistryUnavailable):
        follow(broken)
    proxy.close()
    assert "there is no whole release" in refusal(target, 5)
    assert follow(target).moved == 5
    assert agreed(target, 2)


def test_the_answer_of_mlflow_is_what_the_watcher_reads(target: Target) -> None:
    """Alias and tag come in one answer of the address that the trigger asks."""
    by_hand(target, 3)
    said = requests.get(
        f"{target.registry.uri}/api/2.0/mlflow/registered-models/get", params={"name": MODEL}, timeout=10
    ).json()["registered_model"]
    assert said["aliases"] == [{"alias": "champion", "version": "3"}]
    assert {"key": "gavel.champion", "value": "2"} in said["tags"]


class Noted(NotedRegistry):
    """A registry without MLflow that tells whose move it was; ``moved_to`` is what a person does."""

    ours: int | None = None

    def moved_to(self, number: int) -> None:
        self.champion = number

    def set_alias(self, model: str, number: int, alias: str = "champion") -> None:
        super().set_alias(model, number, alias)
        self.ours = number

    def aliased(self, model: str, alias: str = "champion") -> Aliased:
        return Aliased(self.champion, self.ours)

    def version(self, model: str, number: int) -> Version:
        return Version(model, number, "run", "model")


class Killed(BaseException):
    """The process is gone."""


def killed_at(point: int, store: Store, registry: Noted) -> bool:
    """Follow until step ``point`` of store or registry; was there one?"""
    steps = itertools.count()

    def before(name: str) -> None:
        if next(steps) == point:
            raise Killed

    at = Target(Stepped(store, before), Stepped(registry, before), MODEL, (), "", 5.0)
    try:
        follow(at)
    except Killed:
        return True
    return False


@pytest.mark.parametrize(("moved", "ends", "action"), [(3, 3, "promote"), (1, 1, "rollback"), (5, 2, "deploy")])
def test_killed_at_any_step_and_run_again_it_ends_the_same(tmp_path: Path, moved: int, ends: int, action: str) -> None:
    """Nothing is done twice, nothing is lost: one entry, and alias, tag and channel name one version."""
    for point in range(99):
        registry = Noted()
        at = Target(open_store(f"file:{tmp_path}/{point}"), registry, MODEL, (), "", 5.0)
        put_live(at, 1)
        put_live(at, 2)
        publish(at.store, MODEL, 3, BUNDLES[3])
        before = len(read_entries(at.store, MODEL))
        registry.moved_to(moved)
        killed = killed_at(point, at.store, registry)
        follow(at)
        assert agreed(at, ends)
        assert (last(at).action, len(read_entries(at.store, MODEL)) - before) == (action, int(ends != 2))
        assert bool(registry.tags.get(moved, {}).get("alias_refused")) == (ends != moved)
        if not killed:
            break
    assert 5 < point < 99
