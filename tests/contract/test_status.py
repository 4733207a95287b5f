"""pipeline/contract/status.py"""

import json

import pytest

from pipeline.contract.status import Refusal, Status

LIVE = Status(
    "car_price", True, 3, "d" * 64, "2015-06-01", 5, "2015-06-02T04:00:00+00:00", Refusal(4, "e" * 64, "why"), "away"
)


@pytest.mark.parametrize("status", [Status("car_price", False), LIVE])
def test_a_status_survives_json(status):
    """What a worker answers is what a deploy reads."""
    assert Status.from_dict(json.loads(json.dumps(status.to_dict()))) == status


def test_members_of_a_newer_worker_are_passed_over():
    """A deploy can ask workers that know more than it does."""
    assert Status.from_dict({**LIVE.to_dict(), "shadow": 1}) == LIVE


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
    ]
    assert list(LIVE.to_dict()["refusal"]) == ["version", "digest", "reason"]
