"""pipeline/replicas.py: a replica of several workers, and what a deploy makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pipeline.contract.channel import Release
from pipeline.contract.status import Refusal, ReplicaStatus, WorkerStatus
from pipeline.errors import DeployFailed, ModelRefused
from pipeline.replicas import Replicas
from pipeline.store import Store
from tests.pipeline.fake_serving import FakeServing
from tests.pipeline.noted_registry import NotedRegistry
from tests.pipeline.test_deploy import NEW, put_live
from tests.pipeline.tiny_model import DATASET

RELEASE = Release(1, NEW.digest, "2015-06-10")
GOOD = WorkerStatus(DATASET.model_name, True, 1, NEW.digest, generation=1, index=0, pid=10)
OTHER = replace(GOOD, index=1, pid=11)


@pytest.fixture
def serving(store: Store) -> Iterator[FakeServing]:
    """A replica that serves the release; tests tell it what its workers say."""
    serving = FakeServing(store)
    put_live(store, NotedRegistry(), NEW, 1, serving)
    yield serving
    serving.close()


def served(serving: FakeServing, *workers: WorkerStatus) -> bool:
    serving.status = lambda: ReplicaStatus.of(workers)  # type: ignore[method-assign]
    return Replicas([serving.url], "secret", lambda: True).serve(NEW, RELEASE, 1, 0.3)


def test_every_worker_serves_the_release(serving: FakeServing) -> None:
    """Then the deploy is done."""
    assert served(serving, GOOD, OTHER)


@pytest.mark.parametrize(
    ("changes", "trouble"),
    [
        ({"version": 7, "digest": "f" * 64}, "worker 1: it serves version 7"),
        ({"ready": False, "problem": "there is no answer within 1 s"}, "worker 1: there is no answer within 1 s"),
        ({"ready": False, "version": None, "digest": None}, "worker 1: it serves version none and is not ready"),
        ({"digest": "f" * 64, "store_error": "it is away"}, r"worker 1: it cannot read the release store \(it is away"),
    ],
)
def test_one_worker_that_does_not_is_named(serving: FakeServing, changes: dict[str, Any], trouble: str) -> None:
    """A deploy waits for it, and fails with what is wrong with it."""
    with pytest.raises(DeployFailed, match=trouble):
        served(serving, GOOD, replace(OTHER, **changes))


def test_one_worker_that_refuses_is_enough(serving: FakeServing) -> None:
    """There is no point in waiting for it."""
    refusing = replace(OTHER, digest="f" * 64, refusal=Refusal(1, NEW.digest, "golden row 3 differs"))
    with pytest.raises(ModelRefused, match="golden row 3 differs"):
        served(serving, GOOD, refusing)


def test_a_replica_that_asks_callers_who_they_are_is_shown_the_push_token(store: Store) -> None:
    """Status and golden rows are asked for with it, not only the push; another token is said plainly."""
    serving = FakeServing(store)
    put_live(store, NotedRegistry(), NEW, 1, serving)
    serving.mood = "guarded"
    assert served(serving, GOOD)
    with pytest.raises(DeployFailed, match="does not take the push token"):
        Replicas([serving.url], "another", lambda: True).serve(NEW, RELEASE, 1, 0.3)
    serving.close()
