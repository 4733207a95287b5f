"""The simulated auction: the same day and seed give the same rows, and they look like real sales."""

import hashlib
import time
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import datasets
from pipeline.errors import SettingsInvalid
from pipeline.raw_check import check_raw
from pipeline.sources import open_source
from pipeline.sources.simulated import simulate
from tests.pipeline.auction_rows import DATASET, SUNDAY, TUESDAY

FIRST = date(2026, 3, 2)


@pytest.fixture(scope="module")
def eight_weeks() -> pd.DataFrame:
    return pd.concat([simulate(FIRST + timedelta(days=n), 7) for n in range(56)], ignore_index=True)


def test_the_same_day_and_seed_give_the_very_same_rows() -> None:
    """The digest is written down here, so that it is the same on every machine."""
    rows = simulate(TUESDAY, 7)
    pd.testing.assert_frame_equal(rows, simulate(TUESDAY, 7))
    assert hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()[:16] == "4f6cf826bd498b37"


def test_another_day_or_seed_gives_other_cars() -> None:
    """No two days share a car."""
    vins = [set(simulate(day, seed)["vin"]) for day, seed in ((TUESDAY, 7), (TUESDAY, 8), (FIRST, 7))]
    assert vins[0].isdisjoint(vins[1] | vins[2])


def test_it_has_sales_until_yesterday() -> None:
    """Today's auction is not over: no rows yet."""
    source = open_source("simulated:", DATASET, seed=7, today=TUESDAY)
    assert source.newest_day() == TUESDAY - timedelta(days=1)
    assert source.read(TUESDAY).empty
    assert len(source.read(TUESDAY - timedelta(days=1))) > 100
    assert "simulated" in source.description


def test_weekdays_have_about_900_sales_and_weekends_hardly_any(eight_weeks: pd.DataFrame) -> None:
    """Fewest on Mondays, most in the middle of the week."""
    perday = eight_weeks.groupby(eight_weeks["saledate"].dt.date).size()
    weekday = pd.Series([day.weekday() for day in perday.index], index=perday.index)
    assert 800 < perday[weekday < 5].mean() < 1_000
    assert perday[weekday == 0].mean() < perday[weekday == 4].mean() < perday[weekday == 2].mean()
    assert perday[weekday >= 5].sum() < 60
    assert simulate(SUNDAY, 7).empty


@settings(max_examples=40, deadline=None)
@given(st.dates(date(1990, 1, 1), date(2090, 12, 31)), st.integers(0, 2**32))
def test_every_day_of_every_year_passes_the_raw_check(day: date, seed: int) -> None:
    """Model years follow the day, all rows are of the day, and the columns are the declared ones."""
    rows = simulate(day, seed)
    if rows.empty:
        return
    check_raw(DATASET, rows)
    assert list(rows["saledate"].dt.date.unique()) == [day]
    assert rows["year"].max() <= day.year + 1
    assert rows["year"].median() > day.year - 8 or len(rows) < 20


def test_the_guide_price_misses_by_about_nine_percent(eight_weeks: pd.DataFrame) -> None:
    """Its mean absolute error is 8 to 10 % of the mean price, and it is right on average."""
    miss = eight_weeks["sellingprice"] - eight_weeks["mmr"]
    assert 0.08 < miss.abs().mean() / eight_weeks["sellingprice"].mean() < 0.10
    assert abs(miss.mean()) / eight_weeks["sellingprice"].mean() < 0.04


def test_prices_follow_age_mileage_and_condition(eight_weeks: pd.DataFrame) -> None:
    """An older car is cheaper, and a worse one is below its guide price."""
    by_age = eight_weeks.groupby(2026 - eight_weeks["year"])["sellingprice"].median()
    assert by_age[1] > by_age[4] > by_age[8] > by_age[12]
    ratio = eight_weeks["sellingprice"] / eight_weeks["mmr"]
    assert ratio[eight_weeks["condition"] > 4.5].median() > ratio[eight_weeks["condition"] < 2].median() + 0.02
    assert eight_weeks["seller"].str.replace("  ", " ").nunique() > 140
    assert eight_weeks["make"].str.lower().nunique() == 20


def test_it_has_the_dirt_of_real_sales(eight_weeks: pd.DataFrame) -> None:
    """Gaps, dashes, marks and spellings are about as frequent as in real data."""
    missing = eight_weeks.isna().mean()
    assert 0.12 < missing["transmission"] < 0.15
    assert all(0.015 < missing[name] < 0.025 for name in ("make", "model", "trim", "body"))
    assert 0.03 < (eight_weeks["color"] == "\N{EM DASH}").mean() < 0.06
    assert 0.001 < eight_weeks["odometer"].isin([1, 999_999]).mean() < 0.004
    assert 0.4 < eight_weeks["body"].dropna().str.islower().mean() < 0.6
    assert eight_weeks["trim"].dropna().str.endswith(" ").any()
    ratio = eight_weeks["sellingprice"] / eight_weeks["mmr"]
    assert 0.0003 < ((ratio > 4) | (ratio < 0.15)).mean() < 0.003


def test_one_day_takes_less_than_50_milliseconds() -> None:
    """The best of five, since this machine may be busy."""
    simulate(TUESDAY, 7)
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        simulate(TUESDAY, 7)
        times.append(time.perf_counter() - begin)
    assert np.min(times) < 0.05


def test_it_has_no_sales_for_another_dataset() -> None:
    """One clear sentence instead of cars for a house-price model."""
    with pytest.raises(SettingsInvalid, match="car_auctions only"):
        open_source("simulated:", datasets.load("house_prices"), seed=1, today=TUESDAY)


@pytest.mark.parametrize("uri", ["", "simulated", "simulated:x", "folder:", "s3:", "ftp://x/{day}", "/tmp/x.csv"])
def test_an_address_that_is_no_source_is_refused(uri: str) -> None:
    """The message shows what may be written."""
    with pytest.raises(SettingsInvalid, match="is not a source"):
        open_source(uri, DATASET, seed=1, today=TUESDAY)
