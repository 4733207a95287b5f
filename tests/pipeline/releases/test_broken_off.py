"""Broken off at any call of the store, by a kill or a lost answer, and run again: each change ends the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StoreUnavailable
from pipeline.releases.champion import promote, rollback
from pipeline.releases.history import verify
from pipeline.releases.rollout import Outcome, Target
from pipeline.releases.trial import canary, quarantine, release_quarantine, shadow, stop
from pipeline.store import Store, open_store
from pipeline.store.s3 import S3Store
from tests.pipeline.noted_registry import NotedRegistry
from tests.pipeline.releases.broken import BreaksAt, Killed, lost
from tests.pipeline.releases.world import (
    ANNA,
    DAG,
    MODEL,
    actions,
    bundle_ref,
    channel_of,
    proven,
    published,
    put_live,
    target,
)  # fmt: skip

CHANGES: dict[str, Callable[[Target], Any]] = {
    "deploy": lambda at: put_live(at, 3),
    "promote": lambda at: promote(at, 4, proven, ANNA, "better"),
    "rollback": lambda at: rollback(at, None, proven, ANNA, "wrong"),
    "canary": lambda at: canary(at, 4, 0.3, DAG, "more of it"),
    "shadow": lambda at: shadow(at, 5, DAG, "try"),
    "stop": lambda at: stop(at, ANNA, "enough"),
    "quarantine": lambda at: quarantine(at, 5, ANNA, "bad"),
    "release-quarantine": lambda at: release_quarantine(at, 6, ANNA, "good after all"),
}


def prepare(store: Store) -> None:
    """Version 1, then 2 live; 4 is challenger, 5 published, 6 quarantined."""
    at = target(store)
    put_live(at, 1)
    put_live(at, 2)
    published(at, 4, 5, 6)
    bundle_ref(store, 3)
    canary(at, 4, 0.2, DAG, "try")
    quarantine(at, 6, ANNA, "bad")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "store"
    prepare(open_store(f"file:{folder}"))
    return folder


@pytest.fixture
def folders(template: Path, tmp_path: Path) -> Callable[[int], Store]:
    """A new store for each number, as ``prepare`` makes it."""
    return lambda number: open_store(f"file:{shutil.copytree(template, tmp_path / str(number))}")


@pytest.fixture
def prefixes(bucket: S3Store) -> Callable[[int], Store]:
    """The same in a bucket."""
    root = bucket._root

    def fresh(number: int) -> Store:
        bucket._root = f"{root}{number}/"
        prepare(bucket)
        return bucket

    return fresh


def end(store: Store, registry: NotedRegistry) -> tuple[Any, ...]:
    """What must be the same in the end, and the proof that the record is whole."""
    assert verify(store, MODEL, pause=0) == []
    channel = channel_of(store)
    return (
        channel.generation,
        channel.roles(),
        channel.challenger,
        channel.quarantined,
        actions(store),
        registry.champion,
    )


@pytest.mark.parametrize("name", CHANGES)
def test_killed_at_any_call_and_run_again_it_ends_the_same(folders: Callable[[int], Store], name: str) -> None:
    """Before the call did its work, or after it."""
    assert broken_everywhere(folders, name, Killed, after=False) > 4
    assert broken_everywhere(folders, name, Killed, after=True, begin=100) > 4


@pytest.mark.parametrize("name", CHANGES)
def test_a_lost_answer_ends_the_same(folders: Callable[[int], Store], name: str) -> None:
    """The work was done, and we were told that the store is away: again, or going on, makes no second change."""
    broken_everywhere(folders, name, lost, after=True)


@pytest.mark.parametrize("name", ["deploy", "rollback"])
def test_on_a_real_s3_server_too(prefixes: Callable[[int], Store], name: str) -> None:
    """The same where conditional writes are the server's."""
    broken_everywhere(prefixes, name, Killed, after=True)


def broken_everywhere(
    fresh: Callable[[int], Store], name: str, error: Callable[[], BaseException], *, after: bool, begin: int = 0
) -> int:
    """Break each call in turn; the number of calls that there are."""
    undisturbed, registry = fresh(begin + 99), noted()
    CHANGES[name](target(undisturbed, registry))
    wanted = end(undisturbed, registry)
    for point in range(90):
        place, registry = fresh(begin + point), noted()
        broken = BreaksAt(place, point, error, after=after)
        try:
            CHANGES[name](target(broken, registry))
        except (Killed, StoreUnavailable):
            result = CHANGES[name](target(place, registry))
            assert isinstance(result, Outcome) or (result.live and result.generation == wanted[0])
        assert end(place, registry) == wanted, f"broken at call {point}"
        if not broken.broke:
            return point
    raise AssertionError("there is no end of calls")


def noted() -> NotedRegistry:
    registry = NotedRegistry()
    registry.champion = 2
    return registry


def test_the_commit_whose_answer_was_lost_is_a_success(folders: Callable[[int], Store]) -> None:
    """The same bytes are created again, so the change goes on in the same run."""
    store = folders(0)
    create = store.create

    def loses(key: str, data: bytes) -> None:
        create(key, data)
        if key.startswith("ledger/") and len(told) == 0:
            told.append(key)
            raise lost()

    told: list[str] = []
    store.create = loses  # type: ignore[method-assign]
    assert put_live(target(store, noted()), 3).live
    assert actions(store)[-1:] == ["deploy"]
    assert len(told) == 1
