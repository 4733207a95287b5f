"""pipeline/contract/status.py"""

import json
from dataclasses import replace

import pytest

from pipeline.contract.status import Refusal, ReplicaStatus, Status, WorkerStatus

LIVE = Status(
    "car_price", True, 3, "d" * 64, "2015-06-01", 5, "2015-06-02T04:00:00+00:00", Refusal(4, "e" * 64, "why"), "away"
)


BESIDE = replace(LIVE, challenger="a" * 64, shadow_refusal=Refusal(5, "b" * 64, "why not"))


@pytest.mark.parametrize("status", [Status("car_price", False), LIVE, BESIDE])
def test_a_status_survives_json(status):
    """What a worker answers is what a deploy reads."""
    assert Status.from_dict(json.loads(json.dumps(status.to_dict()))) == status


def test_members_of_a_newer_worker_are_passed_over():
    """A deploy can ask workers that know more than it does."""
    assert Status.from_dict({**LIVE.to_dict(), "mirror": 1}) == LIVE


def test_the_members_are_the_interface():
    """These names are what GET /v1/model answers."""
    assert list(LIVE.to_dict()) == [
        "model",
        "ready",
        "version",
        "digest",
        "data_day",
        "generation",
        "since",
        "refusal",
        "store_error",
        "challenger",
        "shadow",
        "challenger_refusal",
        "shadow_refusal",
    ]
    assert list(LIVE.to_dict()["refusal"]) == ["version", "digest", "reason"]


FIRST = WorkerStatus(**{**LIVE.to_dict(), "refusal": None, "store_error": None}, index=0, pid=10)
SECOND = replace(FIRST, index=1, pid=11)
SILENT = WorkerStatus("car_price", False, index=1, problem="there is no answer")


def test_workers_that_agree_speak_with_one_voice():
    """A reader of today finds what it knows; whoever wants more finds the workers."""
    status = ReplicaStatus.of([FIRST, SECOND])
    document = json.loads(json.dumps(status.to_dict()))
    assert Status.from_dict(document) == Status(**{**LIVE.to_dict(), "refusal": None, "store_error": None})
    assert ReplicaStatus.from_dict(document) == status
    assert [(each["index"], each["pid"]) for each in document["workers"]] == [(0, 10), (1, 11)]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"generation": 4, "version": 2}, 2),
        ({"ready": False, "generation": None, "version": None}, None),
        ({"version": 9, "refusal": Refusal(4, "e" * 64, "why")}, 9),
        ({"version": 9, "store_error": "away"}, 9),
    ],
)
@pytest.mark.parametrize("turn", [1, -1])
def test_the_one_that_lags_behind_is_shown(changes, shown, turn):
    """Older generation, nothing live, a refusal, no view of the store: none of it is hidden by the others."""
    status = ReplicaStatus.of([FIRST, replace(SECOND, **changes)][::turn])
    assert status.version == shown
    assert status.ready == changes.get("ready", True)


def test_one_that_does_not_answer_makes_the_replica_not_ready():
    """What is served is what the others say; the silent one does not hide it."""
    status = ReplicaStatus.of([FIRST, SILENT])
    assert (status.ready, status.version) == (False, 3)
    assert not status.serves(LIVE.digest)


def test_a_release_is_served_when_every_worker_serves_it():
    """The members at the top alone are not enough."""
    assert ReplicaStatus.of([FIRST, SECOND]).serves(LIVE.digest)
    assert not ReplicaStatus.of([FIRST, replace(SECOND, digest="f" * 64)]).serves(LIVE.digest)
    assert not ReplicaStatus.of([FIRST, SECOND]).serves("f" * 64)


def test_a_challenger_is_held_when_every_worker_holds_it():
    """One that is behind, or silent, is enough for no; the same for a role that nobody is to have any more."""
    one, two = (replace(each, challenger="a" * 64) for each in (FIRST, SECOND))
    both = ReplicaStatus.of([one, two])
    assert (both.challenger, both.holds("challenger", "a" * 64)) == ("a" * 64, True)
    assert not both.holds("shadow", "a" * 64)
    assert both.holds("shadow", None)
    behind = ReplicaStatus.of([one, SECOND])
    assert (behind.challenger, behind.holds("challenger", "a" * 64)) == (None, False)
    assert not behind.holds("challenger", None)
    assert not ReplicaStatus.of([one, SILENT]).holds("challenger", "a" * 64)
    assert not ReplicaStatus.of([FIRST, SILENT]).holds("challenger", None)


def test_the_refusal_of_a_challenger_or_shadow_is_shown_whoever_has_it():
    """Also when the worker that was asked has loaded it."""
    why = Refusal(4, "e" * 64, "why")
    status = ReplicaStatus.of([FIRST, replace(SECOND, challenger_refusal=why, shadow_refusal=why)])
    assert (status.challenger_refusal, status.shadow_refusal, status.refusal) == (why, why, None)
    assert ReplicaStatus.from_dict(json.loads(json.dumps(status.to_dict()))) == status


def test_a_replica_that_does_not_speak_of_workers_is_its_own():
    """An older process answers for itself alone."""
    status = ReplicaStatus.from_dict(LIVE.to_dict())
    assert status.serves(LIVE.digest)
    assert [(each.index, each.version) for each in status.workers] == [(0, 3)]
