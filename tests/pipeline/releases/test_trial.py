"""pipeline/releases/trial.py: challenger, shadow, quarantine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.contract.channel import Challenger
from pipeline.errors import ChangeRefused, DeployFailed, GiveUp, ModelRefused
from pipeline.releases.champion import promote, rollback
from pipeline.releases.history import verify
from pipeline.releases.report_collect import read_collected
from pipeline.releases.rollout import Target
from pipeline.releases.trial import canary, quarantine, release_quarantine, shadow, stop
from pipeline.store import Store
from tests.pipeline.fake_serving import FakeServing
from tests.pipeline.releases.told import pairs, variant
from tests.pipeline.releases.world import (
    ANNA,
    BUNDLES,
    DAG,
    MODEL,
    RELEASES,
    actions,
    channel_of,
    entries,
    proven,
    published,
    put_live,
    target,
)  # fmt: skip


@pytest.fixture
def at(store: Store, serving: FakeServing) -> Target:
    """Version 2 is live on one replica, 3 to 5 are published."""
    made = target(store, urls=[serving.url], timeout=2.0)
    put_live(made, 2)
    published(made, 1, 3, 4, 5)
    return made


ENDS: dict[str, Callable[[Target], Any]] = {
    "stop": lambda at: stop(at, ANNA, "enough seen"),
    "quarantine": lambda at: quarantine(at, 3, ANNA, "wrong scale"),
    "canary": lambda at: canary(at, 3, 0.1, ANNA, "it looks good"),
    "promote": lambda at: promote(at, 3, proven, ANNA, "it looks good"),
    "deploy": lambda at: put_live(at, 4),
    "rollback": lambda at: rollback(at, 1, proven, ANNA, "wrong scale"),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_a_shadow_has_found_out_outlives_it(at: Target, serving: FakeServing, end: str) -> None:
    """Whatever ends the pairing, the replica's pairs are in the store before, for the report."""
    shadow(at, 3, ANNA, "try it")
    champion, tried = ((RELEASES[number], BUNDLES[number]) for number in (2, 3))
    named = zip(("champion", "shadow"), (champion, tried), strict=True)
    serving.told["/v1/variants"] = {role: variant(release, np.ones((4, 3))) for role, (release, _) in named}
    serving.told["/v1/pairs"] = pairs(champion, tried, rows=5)
    ENDS[end](at)
    found, notes = read_collected(at.store, MODEL, RELEASES[2], RELEASES[3])
    assert ([each.rows for each in found], notes) == ([10], [])


def test_a_replica_that_does_not_tell_its_pairs_is_no_obstacle(at: Target, serving: FakeServing) -> None:
    """They are lost; the change is made."""
    shadow(at, 3, ANNA, "try it")
    serving.told["/v1/pairs"] = {"odd": 1}
    assert stop(at, ANNA, "enough seen").changed
    assert channel_of(at.store).shadow is None


def test_a_canary_is_held_by_every_worker(at: Target, serving: FakeServing) -> None:
    """Beside the champion, with its share, on record."""
    outcome = canary(at, 3, 0.1, DAG, "try it")
    assert outcome.message == "version 3 is challenger and answers 0.1 of the requests"
    assert channel_of(at.store).challenger == Challenger(RELEASES[3], 0.1)
    assert channel_of(at.store).champion == RELEASES[2]
    assert serving.roles == {"challenger": RELEASES[3].digest}
    assert (entries(at.store)[-1].action, entries(at.store)[-1].who) == ("canary", DAG)
    assert verify(at.store, MODEL, pause=0) == []


def test_a_canary_again_is_no_change_and_another_share_is(at: Target) -> None:
    """A task that is run again ends the same."""
    canary(at, 3, 0.1, DAG, "try it")
    assert not canary(at, 3, 0.1, DAG, "try it").changed
    assert canary(at, 3, 0.3, DAG, "more").changed
    assert actions(at.store) == ["deploy", "canary", "canary"]


def test_from_shadow_to_canary(at: Target, serving: FakeServing) -> None:
    """A version has one role."""
    shadow(at, 3, DAG, "look")
    assert serving.roles == {"shadow": RELEASES[3].digest}
    canary(at, 3, 0.1, DAG, "try it")
    assert serving.roles == {"challenger": RELEASES[3].digest}


@pytest.mark.parametrize("share", [0.0, 0.6, float("nan")])
def test_a_share_that_cannot_be(at: Target, share: float) -> None:
    """Nothing is changed, and the message says what can."""
    with pytest.raises(ChangeRefused, match=r"above 0 and at most 0\.5.*write 0\.1"):
        canary(at, 3, share, DAG, "try it")
    assert actions(at.store) == ["deploy"]


@pytest.mark.parametrize(
    ("version", "message"),
    [(2, "is the champion"), (9, "no whole release 9"), (5, "version 5 is quarantined"), (4, "version 3 is .* now")],
)
@pytest.mark.parametrize("role", ["challenger", "shadow"])
def test_a_version_that_cannot_be_on_trial(at: Target, version: int, message: str, role: str) -> None:
    """Champion, unknown, quarantined, or somebody else is on trial."""
    quarantine(at, 5, ANNA, "bad")

    def attempt(number: int) -> None:
        _ = canary(at, number, 0.1, DAG, "try") if role == "challenger" else shadow(at, number, DAG, "try")

    attempt(3)
    before = channel_of(at.store)
    with pytest.raises(GiveUp, match=message):
        attempt(version)
    assert channel_of(at.store) == before


def test_nothing_is_live_to_try_it_beside(store: Store) -> None:
    """The first release is deployed."""
    published(target(store), 1)
    with pytest.raises(ChangeRefused, match="nothing to try it beside"):
        canary(target(store), 1, 0.1, DAG, "try")


@pytest.mark.parametrize(("mood", "error"), [("refuses", ModelRefused), ("stuck", DeployFailed)])
def test_a_trial_that_a_replica_does_not_take_is_ended(
    at: Target, serving: FakeServing, mood: str, error: type[Exception]
) -> None:
    """The channel is as it was, and both changes are on record."""
    serving.mood = mood
    with pytest.raises(error, match="the channel is back at what it was"):
        canary(replace(at, timeout=0.2), 3, 0.1, DAG, "try")
    assert channel_of(at.store).challenger is None
    assert actions(at.store) == ["deploy", "canary", "undo"]
    assert at.registry.alias(MODEL) == 2


def test_a_trial_is_stopped(at: Target, serving: FakeServing) -> None:
    """One role, or both; and when there is none nothing happens."""
    canary(at, 3, 0.1, DAG, "try")
    shadow(at, 4, DAG, "look")
    assert stop(at, ANNA, "enough", "challenger").message == "challenger ended"
    assert serving.roles == {"shadow": RELEASES[4].digest}
    stop(at, ANNA, "enough")
    assert serving.roles == {}
    assert not stop(at, ANNA, "enough").changed


def test_a_worker_that_does_not_let_go_is_said(at: Target, serving: FakeServing) -> None:
    """The channel stays: it may not answer any more."""
    canary(at, 3, 0.1, DAG, "try")
    serving.mood = "stuck"
    with pytest.raises(DeployFailed, match="does not let go of the challenger"):
        stop(replace(at, timeout=0.2), ANNA, "enough")
    assert channel_of(at.store).challenger is None


def test_a_challenger_that_is_quarantined_answers_no_more(at: Target, serving: FakeServing) -> None:
    """One change ends its trial and keeps it away."""
    canary(at, 3, 0.1, DAG, "try")
    quarantine(at, 3, ANNA, "wrong scale")
    assert (channel_of(at.store).challenger, channel_of(at.store).quarantined) == (None, (3,))
    assert serving.roles == {}
    assert not quarantine(at, 3, ANNA, "wrong scale").changed


def test_the_champion_is_not_quarantined_but_rolled_back(at: Target) -> None:
    """So that something is live."""
    with pytest.raises(ChangeRefused, match="`rollback` takes it back"):
        quarantine(at, 2, ANNA, "bad")
    with pytest.raises(ModelRefused, match="no whole release 9"):
        quarantine(at, 9, ANNA, "bad")


def test_a_version_is_released_from_quarantine(at: Target) -> None:
    """Then it may be tried again; a version that is not in it is said to be none."""
    quarantine(at, 3, ANNA, "bad")
    assert release_quarantine(at, 3, ANNA, "good").message == "version 3 may be live again"
    assert canary(at, 3, 0.1, DAG, "try").changed
    assert release_quarantine(at, 3, ANNA, "good").message == "version 3 is not quarantined"
