"""pipeline/releases/change.py: what is carried out later, begun anew, or refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.contract import ledger
from pipeline.contract.channel import Channel, channel_key
from pipeline.errors import ChangeRefused, DeployFailed, ModelRefused
from pipeline.releases import read_channel
from pipeline.releases.change import TRIES, Reason, change, settle
from pipeline.releases.history import verify
from pipeline.releases.ledger import read_entries
from pipeline.store import KeyExists, Store
from tests.pipeline.releases.world import ANNA, DAG, MODEL, RELEASES, actions, champion, channel_of, entries

REASON = Reason(DAG, "deploy", "new")


def made(store: Store, number: int, at: datetime | None = None) -> Channel:
    clock = (lambda: at) if at else (lambda: datetime.now(UTC))
    return change(store, MODEL, REASON, lambda seen: seen.with_champion(RELEASES[number]), clock).after


def test_a_change_is_an_entry_and_then_the_channel(any_store: Store) -> None:
    """The channel is what the entry says, and names its hash."""
    first, second = made(any_store, 1), made(any_store, 2)
    recorded = read_entries(any_store, MODEL)
    assert [each.channel for each in recorded] == [first, second]
    assert channel_of(any_store) == second
    assert recorded[1].entry.previous == recorded[0].digest == first.entry
    assert verify(any_store, MODEL, pause=0) == []


def test_where_nothing_is_to_be_changed_nothing_is_written(store: Store) -> None:
    """Neither an entry nor a generation."""
    made(store, 1)
    again = change(store, MODEL, REASON, lambda seen: None)
    assert not again.made
    assert again.after == channel_of(store)
    assert len(entries(store)) == 1


def test_a_change_without_a_reason_is_refused() -> None:
    """Blanks are none."""
    with pytest.raises(ChangeRefused, match="say why"):
        Reason(ANNA, "stop", "  ")


def interrupted(store: Store, number: int) -> Channel:
    """A writer died after the commit: the channel is one behind."""
    before = store.read(channel_key(MODEL))
    after = made(store, number)
    store.replace(channel_key(MODEL), before.data, store.read(channel_key(MODEL)).etag)
    return after


def test_who_comes_next_carries_out_what_was_broken_off(any_store: Store) -> None:
    """The broken-off change is generation 2, the new one 3."""
    made(any_store, 1)
    interrupted(any_store, 2)
    assert champion(any_store) == 1
    assert "not in the channel yet" in verify(any_store, MODEL, pause=0)[0]
    made(any_store, 3)
    assert [entry.after.champion for entry in entries(any_store)] == [RELEASES[1], RELEASES[2], RELEASES[3]]
    assert verify(any_store, MODEL, pause=0) == []


def test_settling_changes_nothing_but_what_was_broken_off(store: Store) -> None:
    """Once, and again it is the same."""
    made(store, 1)
    after = interrupted(store, 2)
    assert settle(store, MODEL).channel == after
    assert settle(store, MODEL).channel == after
    assert len(entries(store)) == 2


def test_a_channel_that_is_gone_is_made_anew_at_once(store: Store) -> None:
    """It is the last entry's, and no server sees an earlier one in between."""
    for number in (1, 2, 3):
        last = made(store, number)
    (store.root / channel_key(MODEL)).unlink()  # type: ignore[attr-defined]
    assert any("not what the entry" in problem for problem in verify(store, MODEL, pause=0))
    assert settle(store, MODEL).channel == last
    assert verify(store, MODEL, pause=0) == []


def test_a_store_from_before_there_was_a_ledger_begins_one(store: Store) -> None:
    """At the generation after the one it has; what was live stays on record as what was before."""
    old = Channel(MODEL, 41, RELEASES[1])
    document = {"format": 1, "model": MODEL, "generation": 41, "champion": old.to_dict()["champion"]}
    store.create(channel_key(MODEL), ledger.to_json(document))
    assert verify(store, MODEL, pause=0) == []
    assert made(store, 2).generation == 42
    assert [(entry.before, entry.previous) for entry in entries(store)] == [(old, None)]
    assert verify(store, MODEL, pause=0) == []


def test_a_clock_that_is_behind_makes_no_entry_older_than_the_last(store: Store) -> None:
    """Two machines, one of them an hour late: times in the ledger never fall."""
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    made(store, 1, now)
    made(store, 2, now - timedelta(hours=1))
    assert [entry.time for entry in entries(store)] == [now, now]


def test_somebody_who_is_faster_is_asked_about_anew(store: Store) -> None:
    """The decision is made on what is there then, not on what was."""
    made(store, 1)
    seen: list[int] = []

    def decide(channel: Channel) -> Channel | None:
        seen.append(channel.generation)
        if len(seen) == 1:
            made(store, 2)
        return channel.with_champion(RELEASES[3])

    assert change(store, MODEL, REASON, decide).after.generation == 3
    assert seen == [1, 2]
    assert actions(store) == ["deploy"] * 3


def test_a_channel_that_others_change_all_the_time_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for ever."""

    def taken(*arguments: object) -> None:
        raise KeyExists("entry")

    monkeypatch.setattr(store, "create", taken)
    with pytest.raises(DeployFailed, match=f"{TRIES} times"):
        made(store, 1)


def test_a_refusal_leaves_nothing(store: Store) -> None:
    """What decides may refuse."""

    def refuse(channel: Channel) -> Channel | None:
        raise ChangeRefused("no")

    with pytest.raises(ChangeRefused):
        change(store, MODEL, REASON, refuse)
    assert list(store.keys("ledger/")) == []


def test_a_damaged_last_entry_does_not_stop_a_change(store: Store) -> None:
    """It is found by verify; a rollback must still be possible."""
    made(store, 1)
    key = ledger.entry_key(MODEL, 1)
    store.replace(key, b"damaged", store.read(key).etag)
    assert made(store, 2).generation == 2
    found = verify(store, MODEL, pause=0)
    assert any("0000000001.json: the ledger entry cannot be read" in each for each in found)
    assert any("0000000002.json: it does not follow" in each for each in found)


def test_a_damaged_entry_ahead_of_the_channel_is_said(store: Store) -> None:
    """Nobody can tell what it was to change."""
    made(store, 1)
    store.create(ledger.entry_key(MODEL, 2), b"damaged")
    with pytest.raises(ModelRefused, match="put it back from a copy"):
        made(store, 2)


def test_a_channel_that_cannot_be_read_is_said(store: Store) -> None:
    """With what to do; then it is made anew."""
    last = made(store, 1)
    store.replace(channel_key(MODEL), b"damaged", store.read(channel_key(MODEL)).etag)
    with pytest.raises(ModelRefused, match="remove it, the ledger makes it anew"):
        settle(store, MODEL)
    assert verify(store, MODEL, pause=0) == ["the channel cannot be read"]
    (store.root / channel_key(MODEL)).unlink()  # type: ignore[attr-defined]
    assert settle(store, MODEL).channel == last


@pytest.mark.parametrize("member", ["champion", "quarantined", "generation", "entry"])
def test_a_channel_changed_past_the_ledger_is_found(store: Store, member: str) -> None:
    """Whatever is changed in it."""
    made(store, 1)
    made(store, 2)
    values = {"champion": RELEASES[5], "quarantined": (9,), "generation": 7, "entry": "f" * 64}
    seen = read_channel(store, MODEL)
    store.replace(channel_key(MODEL), replace(seen.channel, **{member: values[member]}).to_bytes(), seen.etag)
    assert len(verify(store, MODEL, pause=0)) == 1
