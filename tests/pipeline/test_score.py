"""Score: the release that was live before a day is asked what the day's cars would bring, once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline import score as score_module
from pipeline.cleaning import clean
from pipeline.contract import bundle as bundles
from pipeline.contract import channel as channels
from pipeline.contract.bundle import BundleInvalid
from pipeline.contract.channel import Channel, Release
from pipeline.partitions import Partition, keep
from pipeline.score import Score, predictions, score
from pipeline.store import KeyNotFound, Store
from tests.pipeline.auction_rows import DATASET, TUESDAY, WEDNESDAY, sales
from tests.pipeline.tiny_model import answer, json_rows, make_bundle, model_bytes

MODEL = DATASET.model_name
BEFORE = "2026-03-02"


def delivered(store: Store, rows: pd.DataFrame | None = None) -> Partition:
    return keep(store, DATASET, TUESDAY, sales(rows=60) if rows is None else rows)


def live(store: Store, data_day: str = BEFORE, version: int = 3, factor: float = 1.0) -> None:
    """A release in the store, and the channel names it."""
    bundle = make_bundle(factor, data_day)
    store.publish(channels.release_prefix(MODEL, version), bundle.files, last=bundles.MANIFEST)
    key = channels.channel_key(MODEL)
    try:
        before, etag = channels.read(store.read(key).data), store.read(key).etag
    except KeyNotFound:
        before, etag = Channel(MODEL), None
    store.replace(key, before.with_champion(Release(version, bundle.digest, data_day)).to_bytes(), etag)


def test_the_figures_are_those_of_what_clients_were_told(store: Store) -> None:
    """Mean error of the live release and of the baseline, and the part of the prices within the interval."""
    live(store, factor=1.1)
    partition = delivered(store)
    rows, _ = clean(DATASET, sales(rows=60).assign(day=TUESDAY.isoformat()))
    features = rows[["year", "make", "odometer", "mmr"]].replace({"make": {"": None}})
    price, low, high = answer(model_bytes(1.1), json_rows(features)).T
    actual = rows["sellingprice"].to_numpy()
    found = score(DATASET, store, partition)
    assert (found.day, found.rows, found.version) == ("2026-03-03", len(rows), 3)
    assert found.mae == pytest.approx(np.abs(price - actual).mean())
    assert found.baseline_mae == pytest.approx(np.abs(rows["mmr"] - actual).mean())
    assert found.interval_coverage == pytest.approx(((low <= actual) & (actual <= high)).mean())


def test_without_a_release_there_is_nothing_to_score_by(store: Store) -> None:
    """The rows are counted, every other figure is open."""
    assert score(DATASET, store, delivered(store)) == Score("2026-03-03", 60)


@pytest.mark.parametrize("data_day", ["2026-03-03", "2026-03-04"])
def test_a_champion_that_has_seen_the_day_is_not_asked(store: Store, data_day: str) -> None:
    """Its error on rows that it learned from would be a lie."""
    live(store, data_day)
    assert score(DATASET, store, delivered(store)) == Score("2026-03-03", 60)


def test_a_day_is_scored_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is repeated after a newer release went live reports what it reported before."""
    live(store)
    partition = delivered(store)
    first = score(DATASET, store, partition)
    live(store, "2026-03-03", version=4, factor=3.0)
    monkeypatch.setattr(score_module, "_score", lambda *arguments: pytest.fail("scored twice"))
    assert score(DATASET, store, partition) == first
    assert first.version == 3


def test_a_corrected_delivery_is_scored_anew(store: Store) -> None:
    """It has other rows, so it is another question."""
    live(store)
    first = score(DATASET, store, delivered(store))
    second = score(DATASET, store, delivered(store, sales(rows=40)))
    assert (first.rows, second.rows) == (60, 40)
    assert len(list(store.keys(f"scores/{MODEL}"))) == 2


def test_all_rows_of_the_day_count_also_those_not_to_be_learned_from(store: Store) -> None:
    """Wrecks and slips are part of what was sold; rows that cannot be cleaned are not."""
    live(store)
    rows = sales(rows=40)
    rows.loc[0, "sellingprice"] = 100
    rows.loc[1, "mmr"] = np.nan
    assert score(DATASET, store, delivered(store, rows)).rows == 39


def test_a_day_that_is_cleaned_away_has_no_figures(store: Store) -> None:
    """There is no error of nothing."""
    live(store)
    assert score(DATASET, store, delivered(store, sales(rows=5).assign(mmr=np.nan))) == Score("2026-03-03", 0)


def test_a_release_that_was_changed_is_not_asked(store: Store) -> None:
    """It is read and verified as the server does."""
    live(store)
    key = f"{channels.release_prefix(MODEL, 3)}/{bundles.MODEL}"
    store.replace(key, b"other", store.read(key).etag)
    with pytest.raises(BundleInvalid):
        score(DATASET, store, delivered(store))
    assert not list(store.keys("scores"))


def test_predictions_keep_the_rows_and_add_the_answers() -> None:
    """In the words of the metrics."""
    rows, _ = clean(DATASET, sales(WEDNESDAY, 10).assign(day=WEDNESDAY.isoformat()))
    table = predictions(DATASET, make_bundle(), rows)
    assert table[list(rows.columns)].equals(rows)
    assert [name for name in table if name not in rows] == ["actual", "baseline", "price", "low", "high"]
