"""A change as the form asks for it: what is refused at once, the obvious version, and how a bake is concluded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.asked_change import Asked, Bake, Changed, carry_out, conclude
from pipeline.bake import Verdict
from pipeline.contract.channel import Channel
from pipeline.contract.ledger import Actor
from pipeline.errors import ChangeRefused, ModelRefused
from pipeline.releases.rollout import Target
from pipeline.releases.trial import stop
from pipeline.store import Store
from tests.pipeline.fake_serving import FakeServing
from tests.pipeline.releases.world import (
    ANNA,
    RELEASES,
    actions,
    champion,
    channel_of,
    entries,
    published,
    put_live,
    target,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LIMITS = {"max_error_rate": 0.01, "max_latency_ratio": None, "max_answer_drift": None, "least_requests": 200}
RUN = "http://airflow/dags/car_price_release/runs/1"
ME = Actor("person", "anna", RUN)


@pytest.fixture
def at(store: Store, serving: FakeServing) -> Target:
    """Versions 1 and 2 were live, one after the other; 3 and 4 are published."""
    found = target(store, urls=[serving.url])
    put_live(found, 1)
    put_live(found, 2)
    published(found, 3, 4)
    return found


def ask(at: Target, action: Any, version: int | None = None, **more: Any) -> Changed:
    return carry_out(at, Asked(action, "because", version, **{"limits": LIMITS, **more}), ANNA, NOW)


def baking(at: Target, **more: Any) -> tuple[Asked, Bake]:
    """Version 3 is challenger and watched."""
    asked = Asked("canary", "try it", 3, limits=LIMITS, **more)
    bake = carry_out(at, asked, ME, NOW).bake
    assert bake is not None
    return asked, bake


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"action": "delete"}, "'delete' is no action; take one of promote, rollback"),
        ({"reason": " "}, "say why"),
        ({"action": "canary"}, "a bake with no limits is refused"),
        ({"action": "canary", "limits": {**LIMITS, "max_error_rate": None}}, "a bake with no limits is refused"),
        ({"action": "canary", "limits": {**LIMITS, "max_error_rate": 2}}, "max_error_rate must be between 0 and 1"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_happens(given: dict[str, Any], told: str) -> None:
    """No store, no server is asked."""
    with pytest.raises(ChangeRefused, match=told):
        Asked(**{"action": "rollback", "reason": "because", **given})


def test_each_action_is_carried_out(at: Target) -> None:
    """In words for people, and in the ledger with reason and name."""
    assert ask(at, "shadow", 3) == Changed(3, "version 3 is shadow")
    assert ask(at, "canary", None, share=0.2).message == "version 3 is challenger and answers 0.2 of the requests"
    assert ask(at, "promote").message == "version 3 is live"
    assert ask(at, "rollback").message == "version 2 is live again, version 3 is quarantined"
    assert ask(at, "release from quarantine").message == "version 3 may be live again"
    assert ask(at, "shadow", 4).generation == 8
    assert ask(at, "quarantine").message == "version 4 is quarantined"
    assert ask(at, "stop").message.startswith("there was no")
    found = actions(at.store)[2:]
    assert found == ["shadow", "canary", "promote", "rollback", "release-quarantine", "shadow", "quarantine"]
    assert {(entry.who, entry.why) for entry in entries(at.store)[2:]} == {(ANNA, "because")}


@pytest.mark.parametrize("action", ["promote", "canary", "shadow", "quarantine", "release from quarantine"])
def test_without_an_obvious_version_it_must_be_named(at: Target, action: Any) -> None:
    """Nothing is guessed, nothing changes."""
    before = channel_of(at.store)
    with pytest.raises(ChangeRefused, match=f"name the version to {action}: there is no obvious one"):
        ask(at, action)
    assert channel_of(at.store) == before


def test_a_canary_is_to_be_watched_until_a_moment(at: Target) -> None:
    """An absolute one, with release and limits; other changes are not watched."""
    _, bake = baking(at, bake=timedelta(minutes=5))
    assert bake == Bake(3, RELEASES[3].digest, "2026-11-22T12:05:00+00:00", LIMITS)
    assert ask(at, "stop").bake is None


def test_a_good_bake_promotes_if_that_was_asked_for(at: Target) -> None:
    """By whoever asked, with the figures beside the reason; again is the same."""
    asked, bake = baking(at, promote_after=True)
    for _ in range(2):
        done = conclude(at, asked, bake, Verdict("good", "within all limits"), ME)
        assert "version 3 is live" in done.message
        assert champion(at.store) == 3
    assert (entries(at.store)[-1].action, entries(at.store)[-1].who) == ("promote", ME)
    assert entries(at.store)[-1].why == "try it; bake: within all limits"
    assert len(entries(at.store)) == 4


@pytest.mark.parametrize("end", ["good", "few"])
def test_otherwise_it_is_kept(at: Target, end: Any) -> None:
    """It stays challenger, and the message says how it did."""
    asked, bake = baking(at)
    assert conclude(at, asked, bake, Verdict(end, "so it is"), ME).message == "version 3 stays challenger: so it is"
    assert challenger(at) == 3


def challenger(at: Target) -> int | None:
    found = channel_of(at.store).challenger
    return found.release.version if found else None


def test_a_breach_takes_the_challenger_back(at: Target, serving: FakeServing) -> None:
    """Out, in quarantine, recorded as an automatic rollback with the reason; the run is red; again is the same."""
    asked, bake = baking(at, promote_after=True)
    for _ in range(2):
        with pytest.raises(ModelRefused, match="version 3 was taken back and is quarantined: it fails 20 %"):
            conclude(at, asked, bake, Verdict("breach", "it fails 20 %"), ME)
        after: Channel = channel_of(at.store)
        assert (after.champion, after.challenger, after.quarantined) == (RELEASES[2], None, (3,))
    entry = entries(at.store)[-1]
    assert (entry.action, entry.why, len(entries(at.store))) == ("rollback", "it fails 20 %", 4)
    assert entry.who == Actor("automatic", "bake of version 3", RUN)
    assert serving.roles == {}


def test_too_few_requests_promote_nothing(at: Target) -> None:
    """Who wanted it promoted is told that it was not, and what to do."""
    asked, bake = baking(at, promote_after=True)
    with pytest.raises(ChangeRefused, match="not promoted and stays challenger: 3 came; run the canary again"):
        conclude(at, asked, bake, Verdict("few", "3 came"), ME)
    assert (champion(at.store), challenger(at)) == (2, 3)


def test_a_bake_that_nobody_watched_ends_the_trial(at: Target) -> None:
    """A canary without a watcher is none; but what others have put on trial since stays."""
    asked, bake = baking(at)
    with pytest.raises(ModelRefused, match="nobody watched version 3 to the end of its bake"):
        conclude(at, asked, bake, None, ME)
    assert (challenger(at), channel_of(at.store).quarantined) == (None, ())
    ask(at, "canary", 4)
    with pytest.raises(ModelRefused, match="nobody watched version 3"):
        conclude(at, asked, bake, None, ME)
    assert challenger(at) == 4


def test_a_trial_that_somebody_ended_needs_no_conclusion(at: Target) -> None:
    """Nothing happens."""
    asked, bake = baking(at)
    stop(at, ANNA, "enough")
    assert conclude(at, asked, bake, Verdict("gone", "somebody ended it"), ME) == Changed(4, "somebody ended it")
