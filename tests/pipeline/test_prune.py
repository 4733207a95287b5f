"""Old work goes, what was sold and what was live stays, and a run of an old day makes its work again."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.errors import DataInvalid
from pipeline.prune import prune
from pipeline.store import Store
from pipeline.workspace import INDEX, Ref, Workspace, read_file
from tests.pipeline.auction_rows import DATASET
from tests.pipeline.small_window import prepare, put_window

WORK = ("windows/car_auctions", "prepared/car_auctions", "trained/car_auctions", "bundles/car_auctions")
RECORD = (
    "partitions/car_auctions/2026-03-02/v1/rows.parquet", "releases/car_price/1/manifest.json",
    "ledger/car_price/0000000001.json", "channels/car_price.json", "pairs/car_price/1-2/a.json",
    "prepared/house_prices/k/facts.json", "candidates/house_price/1/manifest.json",
)  # fmt: skip


def later(**time: int) -> datetime:
    return datetime.now(UTC) + timedelta(**time)


@pytest.fixture
def filled(store: Store) -> Store:
    """A folder of each kind of work, and an object of each kind of record."""
    for place in (*WORK, "certified/car_price"):
        Workspace(store, place).publish("k", {"model.bin": b"x" * 100})
    store.publish("candidates/car_price/7", {"model.onnx": b"x" * 100, "manifest.json": b"{}"}, last="manifest.json")
    for key in RECORD:
        store.create(key, b"kept")
    return store


def test_old_work_goes_and_the_record_stays(filled: Store) -> None:
    """Also of what is another dataset's nothing goes."""
    pruned = prune(DATASET, filled, 30, later(days=31))
    assert list(filled.keys("")) == sorted(RECORD)
    assert (pruned.folders, pruned.kept) == (6, 0)
    assert pruned.size > 600
    assert pruned.message == "removed 6 folders older than 30 days, 0.0 MB; kept 0"


def test_young_work_stays(filled: Store) -> None:
    """Also all of a folder in which one file is young."""
    os.utime(Path(filled.uri.removeprefix("file:")) / "trained/car_auctions/k/model.bin", (0, 0))
    before = list(filled.keys(""))
    pruned = prune(DATASET, filled, 30, later(days=29))
    assert list(filled.keys("")) == before
    assert pruned.message == "nothing is older than 30 days; kept 6"


def test_with_0_days_nothing_is_ever_removed(filled: Store) -> None:
    """And the message says which setting it is."""
    before = list(filled.keys(""))
    assert prune(DATASET, filled, 0, later(days=9999)).message == "nothing is removed: GAVEL_KEEP_DAYS is 0"
    assert list(filled.keys("")) == before


def test_what_a_killed_run_left_half_written_goes_too(store: Store) -> None:
    """A folder without its index."""
    store.create("prepared/car_auctions/k/full.npz", b"half")
    assert prune(DATASET, store, 1, later(days=2)).folders == 1
    assert list(store.keys("")) == []


def test_work_that_went_is_made_again_and_is_the_same(store: Store) -> None:
    """The window and the matrices of real rows, under the same key and with the same content."""
    window = put_window(store)
    prepared = prepare(store, window)
    prune(DATASET, store, 1, later(days=2))
    assert not list(store.keys("prepared/"))
    assert put_window(store) == window
    assert prepare(store, window).prefix == prepared.prefix


def test_a_task_of_a_run_whose_work_went_says_what_to_do(store: Store) -> None:
    """Clearing one task of an old run is not enough."""
    ref = Workspace(store, "trained/car_auctions").publish("k", {"model.bin": b"model"})
    store.remove("trained/car_auctions/k", last=INDEX)
    with pytest.raises(DataInvalid, match="trained/car_auctions/k was removed; run that day again, from fetch on"):
        read_file(store, Ref(ref.prefix, ref.digest), "model.bin")
