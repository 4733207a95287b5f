"""pipeline/releases/champion.py: back to an earlier release, or on to one that was on trial."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.contract.channel import Release
from pipeline.errors import ChangeRefused, DeployFailed, GiveUp, ModelRefused, RegistryUnavailable, StoreUnavailable
from pipeline.releases.champion import promote, rollback
from pipeline.releases.history import verify
from pipeline.releases.rollout import Target
from pipeline.releases.trial import canary, release_quarantine, shadow
from pipeline.replicas import Replicas
from pipeline.store import Store
from tests.pipeline.fake_serving import FakeServing
from tests.pipeline.releases.world import (
    ANNA,
    BUNDLES,
    DAG,
    MODEL,
    RELEASES,
    actions,
    champion,
    channel_of,
    entries,
    proven,
    published,
    put_live,
    target,
)  # fmt: skip


@pytest.fixture
def at(store: Store) -> Target:
    """Versions 1, 2 and 3 were live in turn; no replica."""
    made = target(store)
    for number in (1, 2, 3):
        put_live(made, number)
    return made


def back(at: Target, version: int | None = None, why: str = "wrong scale") -> Any:
    return rollback(at, version, at.replicas().prove, ANNA, why)


def test_a_rollback_goes_to_the_last_champion_and_quarantines_what_it_leaves(at: Target) -> None:
    """In one change, with who and why; the alias follows."""
    outcome = back(at)
    assert outcome.message == "version 2 is live again, version 3 is quarantined"
    assert (champion(at.store), channel_of(at.store).quarantined, at.registry.alias(MODEL)) == (2, (3,), 2)
    last = entries(at.store)[-1]
    assert (last.action, last.who, last.why) == ("rollback", ANNA, "wrong scale")
    assert verify(at.store, MODEL, pause=0) == []


def test_a_rollback_after_a_rollback_goes_one_further(at: Target) -> None:
    """Past what is quarantined, and then there is nothing left."""
    back(at)
    back(at, why="that too")
    assert (champion(at.store), channel_of(at.store).quarantined) == (1, (2, 3))
    with pytest.raises(ChangeRefused, match="knows no champion before version 1"):
        back(at, why="all of them")


def test_the_same_rollback_again_is_not_one_step_more(at: Target) -> None:
    """A task that is run again asks for the same for the same reason."""
    back(at)
    again = back(at)
    assert not again.changed
    assert "already" in again.message
    assert champion(at.store) == 2


def test_a_rollback_whose_alias_did_not_follow_is_finished_first(at: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when somebody else asks for another reason."""
    with monkeypatch.context() as patched:
        patched.setattr(at.registry, "set_alias", _away)
        with pytest.raises(RegistryUnavailable):
            back(at)
    assert (champion(at.store), at.registry.alias(MODEL)) == (2, 3)
    rollback(at, None, proven, DAG, "errors")
    assert (champion(at.store), at.registry.alias(MODEL)) == (2, 2)


def _away(*arguments: Any) -> None:
    raise RegistryUnavailable("away")


def test_a_rollback_to_a_version(at: Target) -> None:
    """Further back than one."""
    assert back(at, 1).changed
    assert (champion(at.store), channel_of(at.store).quarantined) == (1, (3,))


def test_what_was_taken_back_by_itself_is_no_place_to_go_back_to(at: Target, serving: FakeServing) -> None:
    """Version 4 was in the channel and no replica took it; before version 5 was version 3."""
    serving.mood, serving.good = "refuses", RELEASES[3].digest
    with pytest.raises(ModelRefused):
        put_live(replace(at, urls=(serving.url,)), 4)
    put_live(at, 5)
    back(at)
    assert champion(at.store) == 3


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (3, None),
        (5, r"version 5 .* is newer than the champion, version 3 .*: `promote 5`"),
        (9, "no whole release 9 .*releases list"),
    ],
)
def test_a_rollback_to_what_is_not_earlier(at: Target, version: int, message: str | None) -> None:
    """To the champion itself nothing happens; newer and unknown ones are refused with what to do."""
    published(at, 5)
    if message is None:
        assert not back(at, version).changed
    else:
        with pytest.raises(GiveUp, match=message):
            back(at, version)
    assert champion(at.store) == 3
    assert len(entries(at.store)) == 3


def test_a_rollback_to_a_quarantined_version_says_how_to_release_it(at: Target) -> None:
    """And once it is released it can be gone back to, not before."""
    back(at)
    put_live(at, 4)
    with pytest.raises(ChangeRefused, match=r"by anna \(person\): wrong scale; .* release-quarantine 3"):
        back(at, 3)
    release_quarantine(at, 3, ANNA, "the source was wrong")
    assert back(at, 3).changed


def test_nothing_is_live_to_go_back_from(store: Store) -> None:
    """Said plainly."""
    with pytest.raises(ChangeRefused, match="nothing of car_price is live yet"):
        back(target(store))


def test_a_store_without_a_ledger_wants_a_version(store: Store) -> None:
    """There is no record of who was champion before."""
    at = target(store)
    published(at, 1)
    put_live(at, 2)
    with pytest.raises(ChangeRefused, match="name one of"):
        back(at)
    assert back(at, 1).changed


@pytest.mark.parametrize(
    ("mood", "error"), [("refuses", ModelRefused), ("wrong", ModelRefused), ("busy", DeployFailed)]
)
def test_the_old_release_must_prove_itself_before_the_channel_moves(
    at: Target, serving: FakeServing, mood: str, error: type[Exception]
) -> None:
    """A replica tries it; the channel has not moved by then, nor afterwards."""
    serving.mood = mood
    with pytest.raises(error):
        back(replace(at, urls=(serving.url,)))
    assert (champion(at.store), channel_of(at.store).quarantined) == (3, ())
    assert len(entries(at.store)) == 3


def test_it_is_tried_and_then_served(at: Target, serving: FakeServing) -> None:
    """Every replica tried version 2 and answers with it."""
    assert back(replace(at, urls=(serving.url,))).changed
    assert [each["version"] for each in serving.trials] == [2]
    assert serving.live is not None
    assert serving.live.digest == RELEASES[2].digest


def test_a_store_that_is_away_for_a_moment_takes_nothing_back(at: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing about the replicas: run again, the rollback is finished."""
    monkeypatch.setattr(Replicas, "serve", _no_store)
    with pytest.raises(StoreUnavailable):
        back(at)
    monkeypatch.undo()
    back(at)
    assert (champion(at.store), actions(at.store)) == (2, ["deploy"] * 3 + ["rollback"])


def _no_store(*arguments: Any) -> bool:
    raise StoreUnavailable("away")


def test_a_rollback_that_a_replica_does_not_follow_is_taken_back_whole(at: Target, serving: FakeServing) -> None:
    """Champion and quarantine are as they were, and the ledger has both changes."""
    serving.mood = "stuck"
    with pytest.raises(DeployFailed, match="the channel is back at version 3"):
        back(replace(at, urls=(serving.url,), timeout=0.2))
    assert (champion(at.store), channel_of(at.store).quarantined, at.registry.alias(MODEL)) == (3, (), 3)
    assert actions(at.store)[-2:] == ["rollback", "undo"]


def test_a_champion_that_changed_meanwhile_is_not_left(at: Target) -> None:
    """Who asked had looked at version 3; version 4 came while version 2 was tried."""

    def slowly(release: Release, golden: Any) -> None:
        put_live(at, 4)

    with pytest.raises(ChangeRefused, match="version 4 went live meanwhile in place of version 3"):
        rollback(at, None, slowly, ANNA, "wrong scale")
    assert (champion(at.store), channel_of(at.store).quarantined) == (4, ())


def test_a_damaged_release_is_not_gone_back_to(at: Target) -> None:
    """It is found before anything moves."""
    key = f"releases/{MODEL}/2/model.onnx"
    at.store.replace(key, b"damaged", at.store.read(key).etag)
    with pytest.raises(ModelRefused, match=r"release 2 of car_price .* was damaged"):
        back(at)
    assert champion(at.store) == 3


def test_the_next_daily_run_does_not_bring_it_back(at: Target) -> None:
    """The version that was rolled back is refused; the next day's version goes live."""
    back(at)
    with pytest.raises(ChangeRefused, match="version 3 is quarantined"):
        put_live(at, 3)
    assert put_live(at, 4).live


# promote


def forward(at: Target, version: int) -> Any:
    return promote(at, version, at.replicas().prove, ANNA, "better")


def test_a_challenger_that_is_promoted_is_on_trial_no_more(at: Target, serving: FakeServing) -> None:
    """It is tried, served, and has one role; the shadow stays."""
    published(at, 4, 5)
    here = replace(at, urls=(serving.url,))
    canary(here, 4, 0.1, DAG, "try")
    shadow(here, 5, DAG, "try")
    assert forward(here, 4).message == "version 4 is live"
    assert channel_of(at.store).roles() == (("champion", RELEASES[4]), ("shadow", RELEASES[5]))
    assert [each["version"] for each in serving.trials] == [4]
    assert not forward(here, 4).changed
    assert at.registry.alias(MODEL) == 4


def test_a_promotion_that_fails_brings_the_trial_back(at: Target, serving: FakeServing) -> None:
    """Champion, challenger and share are as they were."""
    published(at, 4)
    canary(at, 4, 0.1, DAG, "try")
    before = channel_of(at.store).roles()
    serving.mood = "stuck"
    with pytest.raises(DeployFailed, match="back at version 3"):
        forward(replace(at, urls=(serving.url,), timeout=0.2), 4)
    assert channel_of(at.store).roles() == before


def test_an_older_release_is_not_promoted(at: Target) -> None:
    """A rollback is what goes back."""
    with pytest.raises(ChangeRefused, match=r"version 2 .* is older than the champion, version 3 .*`rollback 2`"):
        forward(at, 2)
    assert champion(at.store) == 3


def test_a_release_that_the_gate_refused_is_not_promoted(at: Target) -> None:
    """Its certificate says so."""
    from pipeline.contract import bundle as bundles
    from pipeline.contract.certificate import Certificate, Check
    from pipeline.releases.publish import publish

    refused = Certificate(
        MODEL, 7, BUNDLES[5].digest, "2026-11-22T10:00:00+00:00", "enforce",
        (Check("quality", "champion", 0.2, 0.05, False, "20 % worse"),),
    )  # fmt: skip
    forced = replace(refused, forced="the sale is odd")
    for version, certificate in ((7, refused), (8, forced)):
        bundle = bundles.signed(bundles.certified(BUNDLES[5], certificate.to_bytes()), b"signature")
        publish(at.store, MODEL, version, bundle)
    with pytest.raises(ChangeRefused, match="refused by the gate"):
        forward(at, 7)
    assert forward(at, 8).changed
    assert entries(at.store)[-1].certificate == bundles.sha256(forced.to_bytes())
