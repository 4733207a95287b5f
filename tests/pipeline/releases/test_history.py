"""pipeline/releases/history.py and difference.py: what was live when, and how releases differ."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.contract import ledger
from pipeline.contract.channel import Channel
from pipeline.releases import read_channel
from pipeline.releases.champion import rollback
from pipeline.releases.change import Reason, change
from pipeline.releases.difference import Difference, differences
from pipeline.releases.history import changes_of, live_at, repair, verify, versions
from pipeline.releases.trial import canary, quarantine, shadow
from pipeline.store import Store
from tests.pipeline.releases.world import (
    ANNA,
    BUNDLES,
    DAG,
    MODEL,
    RELEASES,
    channel_of,
    proven,
    published,
    put_live,
    target,
)  # fmt: skip
from tests.pipeline.tiny_model import make_bundle

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR, TICK = timedelta(hours=1), timedelta(microseconds=1)


@pytest.fixture
def hourly(store: Store) -> Store:
    """Versions 1, 2 and 3 became champion at noon, one and two o'clock."""
    for number in (1, 2, 3):
        at = NOON + (number - 1) * HOUR
        change(
            store,
            MODEL,
            Reason(DAG, "deploy", "new"),
            lambda seen, n=number: seen.with_champion(RELEASES[n]),
            lambda at=at: at,
        )
    return store


@pytest.mark.parametrize(
    ("moment", "version"),
    [
        (NOON - TICK, None),
        (NOON, 1),
        (NOON + TICK, 1),
        (NOON + HOUR - TICK, 1),
        (NOON + HOUR, 2),
        (NOON + 2 * HOUR - TICK, 2),
        (NOON + 2 * HOUR, 3),
        (NOON + 1000 * HOUR, 3),
        (datetime(2026, 11, 22, 14, 0, tzinfo=timezone(HOUR)), 2),
        (datetime(1, 1, 1, tzinfo=UTC), None),
    ],
)
def test_what_was_live_at_a_moment(hourly: Store, moment: datetime, version: int | None) -> None:
    """From the very moment of a change on, in any zone; before the first there was none."""
    found = live_at(hourly, MODEL, moment)
    assert (found.channel.champion.version if found.channel.champion else None) == version
    assert (found.entry is None) == (version is None)
    if version is None:
        assert found.message == "the first change on record is of 2026-11-22T12:00:00.000000+00:00"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(offset=st.integers(-3 * 3600, 5 * 3600))
def test_live_at_agrees_with_the_ledger_at_any_second(hourly: Store, offset: int) -> None:
    """It is the last change that was not after it."""
    found = live_at(hourly, MODEL, NOON + timedelta(seconds=offset))
    expected = min(offset // 3600 + 1, 3) if offset >= 0 else None
    assert (found.channel.champion.version if found.channel.champion else None) == expected


def test_without_a_ledger_nothing_is_on_record(store: Store) -> None:
    """Said so."""
    assert live_at(store, MODEL, NOON).message == "there is no change on record"


def test_what_was_live_before_the_ledger_began_is_said(store: Store) -> None:
    """Since when is not known."""
    store.create("channels/car_price.json", Channel(MODEL, 5, RELEASES[1]).to_bytes())
    change(store, MODEL, Reason(DAG, "deploy", "new"), lambda seen: seen.with_champion(RELEASES[2]), lambda: NOON)
    found = live_at(store, MODEL, NOON - HOUR)
    assert found.channel.champion is None
    assert "version 1 was live before it" in found.message


def test_every_release_is_listed_with_its_state(any_store: Store) -> None:
    """Newest first, each with who made it so."""
    at = target(any_store)
    for number in (1, 2, 3):
        put_live(at, number)
    published(at, 4, 5, 6)
    rollback(at, None, proven, ANNA, "wrong scale")
    canary(at, 4, 0.1, DAG, "try")
    shadow(at, 5, DAG, "look")
    found = versions(any_store, MODEL)
    assert [(each.version, each.state, each.why) for each in found] == [
        (6, "never live", ""), (5, "shadow", "look"), (4, "challenger", "try"), (3, "quarantined", "wrong scale"),
        (2, "champion", "wrong scale"), (1, "earlier", "run 2"),
    ]  # fmt: skip
    assert [each.data_day for each in found] == [RELEASES[number].data_day for number in (6, 5, 4, 3, 2, 1)]
    assert found[3].who == "anna (person)"
    assert found[0].since == ""
    assert [entry.action for entry in changes_of(any_store, MODEL, 3)] == ["deploy", "rollback"]


def test_a_damaged_release_is_listed_as_such(store: Store) -> None:
    """One bad folder does not hide the others."""
    published(target(store), 1, 2)
    key = f"releases/{MODEL}/1/golden.json"
    store.replace(key, b"damaged", store.read(key).etag)
    assert [(each.version, each.data_day) for each in versions(store, MODEL)] == [(2, "2015-06-02"), (1, "damaged")]


def test_tampering_is_found_in_the_store(any_store: Store) -> None:
    """An entry that was written over, and one that does not belong."""
    at = target(any_store)
    for number in (1, 2, 3):
        put_live(at, number)
    quarantine(at, 2, ANNA, "bad")
    assert verify(any_store, MODEL, pause=0) == []
    key = ledger.entry_key(MODEL, 2)
    stored = any_store.read(key)
    any_store.replace(key, stored.data.replace(b"run 2", b"run 9"), stored.etag)
    (found,) = verify(any_store, MODEL, pause=0)
    assert found.startswith("ledger/car_price/0000000003.json: it does not follow ledger/car_price/0000000002.json")
    any_store.create("ledger/car_price/0000000009.json", stored.data)
    assert any("0000000009.json: it holds generation 2" in each for each in verify(any_store, MODEL, pause=0))


def test_a_channel_that_lags_is_repaired(store: Store) -> None:
    """What was broken off is carried out, and nothing else."""
    put_live(target(store), 1)
    before = read_channel(store, MODEL)
    put_live(target(store), 2)
    store.replace("channels/car_price.json", before.channel.to_bytes(), read_channel(store, MODEL).etag)
    assert len(verify(store, MODEL, pause=0)) == 1
    assert repair(store, MODEL).champion == RELEASES[2]
    assert verify(store, MODEL, pause=0) == []
    assert channel_of(store).generation == 2


def test_releases_differ_in_what_is_named() -> None:
    """Metrics, schema by column, settings and days, each value by its name; what is the same is left out."""
    before = make_bundle(1.0, "2015-06-10", seed=7)
    after = make_bundle(1.1, "2015-06-11", parity=2e-9, seed=8, days=[["2015-06-11", 1, 90, "abc"]])
    found = {(each.part, each.name): each for each in differences(before, after)}
    assert found["settings", "seed"] == Difference("settings", "seed", 7, 8)
    assert found["lineage", "days.2015-06-11"] == Difference("lineage", "days.2015-06-11", None, "1 90 abc")
    assert found["lineage", "data_day"].after == "2015-06-11"
    assert found["metrics", "parity.max_relative_difference"].after == 2e-9
    assert not [name for part, name in found if part == "schema"]
    assert ("lineage", "code") not in found
    assert differences(before, before) == []


def test_a_column_that_changed_is_named() -> None:
    """Not told by its place."""
    before = BUNDLES[1]
    column = before.manifest.schema.inputs[1]
    other = (
        replace(column, meaning="who built it")
        if hasattr(column, "meaning")
        else replace(column, description="who built it")
    )
    schema = replace(before.manifest.schema, inputs=(before.manifest.schema.inputs[0], other))
    after = replace(before, manifest=replace(before.manifest, schema=schema))
    names = [each.name for each in differences(before, after)]
    assert any(name.startswith("inputs.make.") for name in names)
    assert any(name.startswith("inputs.odometer.") for name in names)
    assert not any(name.startswith("inputs.year.") for name in names)
