"""pipeline/replicas.py: a replica of several workers, and what a deploy makes of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pipeline.contract.channel import Release
from pipeline.contract.status import Refusal, ReplicaStatus, WorkerStatus
from pipeline.errors import DeployFailed, ModelRefused
from pipeline.replicas import Replicas
from pipeline.store import Store
from tests.pipeline.fake_names import FakeNames
from tests.pipeline.fake_serving import FakeServing
from tests.pipeline.mlflow_server import free_port
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
    return Replicas([serving.url], "secret", lambda: True).serve(NEW, RELEASE, 1, 0.3) == (serving.url,)


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


# a trial, before anything goes live


def proven(*urls: str, token: str = "secret") -> None:
    Replicas(urls, token, lambda: True).prove(RELEASE, NEW.golden)


def test_every_replica_is_asked_to_try_the_release(store: Store, serving: FakeServing) -> None:
    """With its version and digest, and the push token; nothing else happens there."""
    other = FakeServing(store)
    serving.mood = "guarded"
    proven(serving.url, other.url)
    asked = {"version": 1, "digest": NEW.digest, "candidate": False}
    assert serving.trials == other.trials == [asked]
    assert other.live is None
    Replicas([other.url], "", lambda: True).prove(RELEASE, NEW.golden, candidate=True)
    assert other.trials[-1] == asked | {"candidate": True}
    other.close()


@pytest.mark.parametrize(
    ("mood", "error"),
    [
        ("refuses", ModelRefused("tried version 1 and refuses it: it takes more than 2 GB")),
        ("wrong", ModelRefused("answers high of golden row 0 with")),
        ("another", ModelRefused("tried another release than version 1: fff")),
        ("short", ModelRefused("answered 7 of 8 golden rows")),
        ("busy", DeployFailed("HTTP 503")),
        ("garbled", DeployFailed("HTTP 200 and no JSON")),
        ("odd", DeployFailed(r"cannot try it now \(HTTP 200\)")),
    ],
)
def test_a_trial_that_is_not_passed(serving: FakeServing, mood: str, error: Exception) -> None:
    """The error says whether the release is bad or the replica could not tell."""
    serving.mood = mood
    with pytest.raises(type(error), match=str(error)):
        proven(serving.url)


def test_a_trial_with_another_token_or_without_an_answer(serving: FakeServing) -> None:
    """Both can be mended and tried again."""
    serving.mood = "guarded"
    with pytest.raises(DeployFailed, match="does not take the push token"):
        proven(serving.url, token="another")
    with pytest.raises(DeployFailed, match="does not answer the trial of version 1"):
        proven(f"http://127.0.0.1:{free_port()}")


# challenger and shadow


@pytest.mark.parametrize(
    ("other", "trouble"),
    [
        ({"challenger": None}, "worker 1 holds none"),
        ({"challenger": "f" * 64}, "worker 1 holds ffffffffffff"),
        ({"problem": "there is no answer within 1 s"}, "worker 1: there is no answer"),
    ],
)
def test_every_worker_must_hold_the_challenger(serving: FakeServing, other: dict[str, Any], trouble: str) -> None:
    """One that does not is named."""
    first = replace(GOOD, challenger=NEW.digest)
    behind = replace(OTHER, **{"challenger": NEW.digest, **other})
    asked = Replicas([serving.url], "secret", lambda: True)
    serving.status = lambda: ReplicaStatus.of([first, behind])  # type: ignore[method-assign]
    with pytest.raises(DeployFailed, match=f"does not hold version 1 as challenger in time: {trouble}"):
        asked.hold("challenger", RELEASE, 0.2)
    serving.status = lambda: ReplicaStatus.of([first, replace(first, index=1)])  # type: ignore[method-assign]
    assert asked.hold("challenger", RELEASE, 0.2)


def test_a_worker_that_keeps_what_was_ended_is_named(serving: FakeServing) -> None:
    """Until none holds it any more."""
    asked = Replicas([serving.url], "secret", lambda: True)
    kept = replace(GOOD, shadow=NEW.digest)
    serving.status = lambda: ReplicaStatus.of([kept])  # type: ignore[method-assign]
    with pytest.raises(DeployFailed, match="does not let go of the shadow in time: worker 0 holds"):
        asked.hold("shadow", None, 0.2)
    serving.status = lambda: ReplicaStatus.of([GOOD])  # type: ignore[method-assign]
    assert asked.hold("shadow", None, 0.2)


def test_a_trial_that_somebody_ended_is_not_waited_for(serving: FakeServing) -> None:
    """The channel does not ask for it any more."""
    assert not Replicas([serving.url], "secret", lambda: False).hold("challenger", RELEASE, 5.0)


def test_a_challenger_that_is_refused_is_not_waited_for(serving: FakeServing) -> None:
    """The worker says why."""
    refusing = replace(GOOD, challenger_refusal=Refusal(1, NEW.digest, "golden row 3 differs"))
    serving.status = lambda: ReplicaStatus.of([refusing])  # type: ignore[method-assign]
    with pytest.raises(ModelRefused, match="refused version 1: golden row 3 differs"):
        Replicas([serving.url], "secret", lambda: True).hold("challenger", RELEASE, 5.0)


# many replicas behind one name

NAME = "dns+http://serving"
FAR = "127.0.0.2"
SILENT = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.fixture
def second(store: Store, serving: FakeServing) -> Iterator[FakeServing]:
    """Another replica of the same service: the same port of another address; it serves nothing yet."""
    second = FakeServing(store, host=FAR, port=serving.port)
    yield second
    second.close()


def found_by(names: FakeNames, port: int, seconds: float = 10.0) -> tuple[str, ...] | None:
    return Replicas([f"{NAME}:{port}"], "secret", lambda: True, names).serve(NEW, RELEASE, 1, seconds)


def test_a_name_is_all_replicas_behind_it(serving: FakeServing, second: FakeServing) -> None:
    """Each is pushed and waited for."""
    assert found_by(FakeNames(["127.0.0.1", FAR]), serving.port) == (serving.url, second.url)
    assert second.loads == [NEW.digest]
    assert (serving.tokens[-1], second.tokens) == ("Bearer secret", ["Bearer secret"])


def test_a_name_fails_with_the_replica_that_does_not_serve(serving: FakeServing, second: FakeServing) -> None:
    """By its number, so that somebody can find it."""
    second.mood = "stuck"
    with pytest.raises(DeployFailed, match=f"http://{FAR}:{serving.port} does not serve version 1 in time"):
        found_by(FakeNames(["127.0.0.1", FAR]), serving.port, 0.3)


def test_a_refusal_is_not_waited_for_behind_a_replica_that_is_late(serving: FakeServing, second: FakeServing) -> None:
    """All replicas are looked at in each look, so the one that will never serve it is seen at once."""
    serving.mood, serving.live, second.mood = "stuck", None, "refuses"
    with pytest.raises(ModelRefused, match=f"{FAR}.* refused version 1"):
        found_by(FakeNames(["127.0.0.1", FAR]), serving.port, 60)


def test_a_replica_that_is_started_meanwhile_must_serve_it_too(serving: FakeServing, second: FakeServing) -> None:
    """It is found after the first one was proven, and late itself."""
    second.mood = "deaf"
    names = FakeNames(["127.0.0.1"], ["127.0.0.1"], ["127.0.0.1", FAR])
    assert found_by(names, serving.port) == (serving.url, second.url)
    assert second.loads == [NEW.digest]


def test_a_replica_that_is_started_meanwhile_and_never_serves_it_fails_the_deploy(
    serving: FakeServing, second: FakeServing
) -> None:
    """Proven replicas do not make up for it."""
    second.mood = "stuck"
    with pytest.raises(DeployFailed, match=f"{FAR}.*it serves version none"):
        found_by(FakeNames(["127.0.0.1"], ["127.0.0.1"], ["127.0.0.1", FAR]), serving.port, 0.3)


def test_a_replica_that_is_gone_no_longer_counts(serving: FakeServing) -> None:
    """Nobody listens at its address; once the name has forgotten it, all is well."""
    names = FakeNames(["127.0.0.1", FAR], ["127.0.0.1", FAR], ["127.0.0.1"])
    assert found_by(names, serving.port) == (serving.url,)


def test_a_replica_that_restarts_is_waited_for(serving: FakeServing, store: Store) -> None:
    """It stops after the push and comes back at the same address, with nothing loaded before it looks."""
    started: list[FakeServing] = []

    def start() -> None:
        started.append(FakeServing(store, "deaf", port=serving.port))

    names = FakeNames(["127.0.0.1"], at={2: serving.close, 4: start})
    try:
        assert found_by(names, serving.port) == (serving.url,)
        assert started[0].loads == [NEW.digest]
    finally:
        started[0].close()


def test_a_replica_that_stops_before_its_golden_rows_is_waited_for(serving: FakeServing) -> None:
    """As one that drains does: it still says that it serves the release, and answers 503."""
    serving.mood = "busy"
    names = FakeNames(["127.0.0.1"], at={4: lambda: setattr(serving, "mood", "well")})
    assert found_by(names, serving.port) == (serving.url,)


def test_a_name_that_cannot_be_asked_for_a_moment_is_asked_again(serving: FakeServing) -> None:
    """Neither the push nor the wait gives up."""
    assert found_by(FakeNames(SILENT, SILENT, [], ["127.0.0.1"]), serving.port) == (serving.url,)


@pytest.mark.parametrize("answer", [SILENT, []])
def test_a_name_without_any_replica_fails_in_time(answer: Exception | list[str]) -> None:
    """A service scaled to nothing is no success."""
    with pytest.raises(
        DeployFailed, match=r"stands for no replica now.*; start serving, or correct GAVEL_SERVING_URLS"
    ):
        found_by(FakeNames(answer), 8000, 0.3)


def test_without_any_replica_a_newer_release_still_takes_its_place() -> None:
    """Then nobody failed."""
    replicas = Replicas([NAME], "", lambda: False, FakeNames(SILENT))
    assert replicas.serve(NEW, RELEASE, 1, 0.1) is None
