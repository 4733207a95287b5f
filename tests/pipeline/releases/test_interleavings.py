"""Runs that overlap in any order: no change is lost, the ledger is whole, and an older day never replaces a newer one."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.deploy import Deployed
from pipeline.errors import ChangeRefused, DeployFailed, GavelError
from pipeline.releases.champion import promote, rollback
from pipeline.releases.history import verify
from pipeline.releases.rollout import Outcome, Target, age
from pipeline.releases.trial import canary, quarantine
from pipeline.store import Store, open_store
from pipeline.store.s3 import S3Store
from pipeline.workspace import Ref
from tests.pipeline.noted_registry import NotedRegistry
from tests.pipeline.releases.turns import Stepped, Turns
from tests.pipeline.releases.world import (
    ANNA,
    DAG,
    MODEL,
    RELEASES,
    bundle_ref,
    channel_of,
    entries,
    proven,
    published,
    put_live,
    target,
)  # fmt: skip

Act = Callable[[Target], Any]


def prepared(store: Store, registry: NotedRegistry) -> dict[int, Ref]:
    """Versions 1 and 2 were live in turn; the bundles of the others are ready."""
    at = target(store, registry)
    refs = {number: bundle_ref(store, number) for number in RELEASES}
    put_live(at, 1, refs[1])
    put_live(at, 2, refs[2])
    published(at, 5)
    return refs


def acts(refs: dict[int, Ref]) -> list[Act]:
    """A scheduled run, a manual one of the next day, a late one of an early day, a rollback, and two on version 5."""
    return [
        lambda at: put_live(at, 3, refs[3]),
        lambda at: put_live(at, 4, refs[4], ANNA),
        lambda at: put_live(at, 6, refs[6]),
        lambda at: rollback(at, None, proven, ANNA, "wrong scale"),
        lambda at: canary(at, 5, 0.1, DAG, "try it"),
        lambda at: quarantine(at, 5, ANNA, "no"),
    ]


class Meanwhile:
    """Called before each step; at step ``point`` it does something else first."""

    def __init__(self, point: int, other: Callable[[], Any]) -> None:
        self.point, self.other, self.steps, self.result = point, other, 0, None

    def __call__(self, name: str) -> None:
        self.steps += 1
        if self.steps == self.point + 1:
            self.result = attempt(self.other)


def attempt(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except GavelError as error:
        return error


def stepped(store: Store, registry: NotedRegistry, before: Callable[[str], None]) -> Target:
    return target(Stepped(store, before), Stepped(registry, before))


def overlapped(store: Store, registry: NotedRegistry, chosen: list[Act], schedule: list[int]) -> list[Any]:
    return Turns(schedule).run([lambda before, act=act: act(stepped(store, registry, before)) for act in chosen])


def check(store: Store, registry: NotedRegistry, results: list[Any]) -> None:
    """What holds whatever the order was."""
    assert verify(store, MODEL, pause=0) == []
    live, record = channel_of(store), entries(store)
    assert live.generation == len(record) == 2 + sum(map(moved, results, [record] * len(results)))
    for entry in record:
        if entry.action == "deploy" and entry.before.champion:
            assert entry.after.champion
            assert age(entry.after.champion) > age(entry.before.champion)
        if entry.action == "rollback":
            assert entry.before.champion
            assert entry.before.champion.version in entry.after.quarantined
    assert live.champion
    assert registry.champion == live.champion.version
    assert live.champion.version != 6
    for result in results:
        assert isinstance(result, Deployed | Outcome | DeployFailed | ChangeRefused), repr(result)


def moved(result: Any, record: list[Any]) -> int:
    """How many entries an action made: as it says, or (a deploy that was overtaken) as the ledger says."""
    if isinstance(result, Deployed):
        made = [e for e in record if e.action == "deploy" and e.after.champion.version == result.version]
        assert len(made) == 1 or not result.live
        return len(made)
    return int(isinstance(result, Outcome) and result.changed)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, Ref]]:
    """The folder that each example begins with: writing it anew costs more than the example."""
    folder = tmp_path_factory.mktemp("template") / "store"
    return folder, prepared(open_store(f"file:{folder}"), NotedRegistry())


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    chosen=st.lists(st.integers(0, 5), min_size=2, max_size=4, unique=True),
    schedule=st.lists(st.integers(0, 3), min_size=5, max_size=60),
)
@example(chosen=[0, 1, 3], schedule=[])
@example(chosen=[1, 0, 2, 3], schedule=[0, 1, 2, 3] * 15)
@example(chosen=[4, 5, 3], schedule=[0, 1, 2] * 20)
def test_in_any_order_no_change_is_lost(
    template: tuple[Path, dict[int, Ref]],
    tmp_path_factory: pytest.TempPathFactory,
    chosen: list[int],
    schedule: list[int],
) -> None:
    """Manual, scheduled and late runs, rollbacks, canaries and quarantines, every store call in an order of its own."""
    folder, refs = template
    copy = shutil.copytree(folder, tmp_path_factory.mktemp("case") / "store")
    store, registry = open_store(f"file:{copy}"), NotedRegistry()
    registry.champion = 2
    results = overlapped(store, registry, [acts(refs)[number] for number in chosen], schedule)
    check(store, registry, results)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0), (2, 0), (0, 3), (3, 1), (3, 3), (4, 5), (5, 4)])
def test_whatever_happens_between_two_calls(
    template: tuple[Path, dict[int, Ref]], tmp_path: Path, first: int, second: int
) -> None:
    """One action stops before each of its calls in turn, and another is made whole meanwhile."""
    folder, refs = template
    for point in range(100):
        store, registry = open_store(f"file:{shutil.copytree(folder, tmp_path / str(point))}"), NotedRegistry()
        registry.champion = 2
        meanwhile = Meanwhile(point, lambda s=store, r=registry: acts(refs)[second](target(s, r)))
        results = [attempt(lambda s=store, r=registry, m=meanwhile: acts(refs)[first](stepped(s, r, m)))]
        if meanwhile.steps <= point:
            break
        check(store, registry, [*results, meanwhile.result])
    assert 5 < point < 60


@pytest.mark.parametrize("seed", range(6))
def test_on_a_real_s3_server_too(bucket: S3Store, seed: int) -> None:
    """The same laws where conditional writes are the server's."""
    registry, random_ = NotedRegistry(), random.Random(seed)
    refs = prepared(bucket, registry)
    chosen = [acts(refs)[number] for number in random_.sample(range(6), 3)]
    results = overlapped(bucket, registry, chosen, [random_.randrange(3) for _ in range(60)])
    check(bucket, registry, results)


def test_the_newest_day_is_live_after_scheduled_and_manual_runs(
    template: tuple[Path, dict[int, Ref]], tmp_path: Path
) -> None:
    """In twenty orders of three deploys the newest day wins each time."""
    folder, refs = template
    for seed in range(20):
        store, registry = open_store(f"file:{shutil.copytree(folder, tmp_path / str(seed))}"), NotedRegistry()
        schedule = [random.Random(seed).randrange(3) for _ in range(60)]
        results = overlapped(store, registry, acts(refs)[:3], schedule)
        check(store, registry, results)
        assert channel_of(store).champion == RELEASES[4]


def test_two_rollbacks_at_once_go_back_one_step(template: tuple[Path, dict[int, Ref]], tmp_path: Path) -> None:
    """The second sees that what it wanted to leave is gone, or that the step is made."""
    folder, refs = template
    for seed in range(20):
        store, registry = open_store(f"file:{shutil.copytree(folder, tmp_path / str(seed))}"), NotedRegistry()
        registry.champion = 2
        put_live(target(store, registry), 3, refs[3])
        both: list[Act] = [
            lambda at: rollback(at, 2, proven, ANNA, "wrong"), lambda at: rollback(at, 2, proven, DAG, "errors"),
        ]  # fmt: skip
        overlapped(store, registry, both, [random.Random(seed).randrange(2) for _ in range(40)])
        assert (channel_of(store).champion, channel_of(store).quarantined) == (RELEASES[2], (3,))
        assert verify(store, MODEL, pause=0) == []


def test_a_promotion_against_a_deploy(template: tuple[Path, dict[int, Ref]], tmp_path: Path) -> None:
    """Of version 5 (newer) and version 4 the newer is live in the end, whoever was first."""
    folder, refs = template
    for seed in range(10):
        store, registry = open_store(f"file:{shutil.copytree(folder, tmp_path / str(seed))}"), NotedRegistry()
        both: list[Act] = [lambda at: promote(at, 5, proven, ANNA, "better"), lambda at: put_live(at, 4, refs[4])]
        results = overlapped(store, registry, both, [random.Random(seed).randrange(2) for _ in range(40)])
        check(store, registry, results)
        assert channel_of(store).champion == RELEASES[5]
