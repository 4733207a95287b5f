"""A delivery that is not what the dataset declares is refused, and the column is named."""

import numpy as np
import pandas as pd
import pytest

from pipeline import datasets
from pipeline.errors import DataInvalid
from pipeline.raw_check import check_raw
from pipeline.sources import open_source
from pipeline.sources.tables import rows_of
from tests.pipeline.auction_rows import DATASET, SHARED_DATA, TUESDAY, as_csv, needs_shared_data, sales

DAY = sales(rows=400)


def text(frame: pd.DataFrame) -> pd.DataFrame:
    return rows_of(as_csv(frame), "f.csv")


@pytest.mark.parametrize("rows", [DAY, text(DAY), DAY[DAY.columns[::-1]], DAY.head(0), DAY.head(1)])
def test_a_good_delivery_passes(rows: pd.DataFrame) -> None:
    """Typed or text, columns in any order, thin or empty."""
    check_raw(DATASET, rows)


def test_single_bad_cells_are_left_to_the_cleaning() -> None:
    """Under 1 % that is no number, and a lone one in a thin day, are counted later."""
    bad = text(DAY)
    bad.loc[[3, 9, 50], "odometer"] = "n/a"
    check_raw(DATASET, bad)
    check_raw(DATASET, bad.head(5))


def with_text(name: str, change: object) -> pd.DataFrame:
    rows = text(DAY)
    return rows.assign(**{name: rows[name].map(change)})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (DAY.rename(columns={"mmr": "MMR "}), r"'mmr' is missing \(nearest: 'MMR '\).*'MMR ' is not declared \(nearest: 'mmr'\)"),
        (DAY.drop(columns="odometer"), "'odometer' is missing"),
        (DAY.drop(columns="odometer").head(0), "'odometer' is missing"),
        (DAY.assign(doors=4), "'doors' is not declared"),
        (with_text("condition", lambda v: v.replace(".", ",")), r"condition: \d+ of 400 values cannot be read as numbers, for example '\d,\d'"),
        (with_text("sellingprice", "${}".format), r"sellingprice: 400 of 400 values cannot be read as numbers, for example '\$"),
        (with_text("mmr", "{} EUR".format), "mmr: 400 of 400 values cannot be read"),
        (DAY.assign(year=DAY["saledate"]), "year: 400 of 400 values cannot be read"),
        (DAY.assign(condition=DAY["condition"] > 3), "condition: 400 of 400 values cannot be read"),
        (DAY.assign(condition=DAY["condition"] * 200), r"condition: \d+ of 400 values are outside the declared range 1 to 5 grade .has the unit changed"),
        (DAY.assign(mmr=DAY["mmr"] * 1000), "mmr: .* outside the declared range 1 to 1e"),
        (DAY.assign(sellingprice=-1), "sellingprice: 400 of 400 values are outside"),
        (DAY.assign(odometer=np.inf), "odometer: .* outside"),
        (pd.concat([DAY, DAY["make"]], axis=1), "'make' is there twice"),
    ],
)  # fmt: skip
def test_a_changed_delivery_is_refused_with_the_column_named(rows: pd.DataFrame, message: str) -> None:
    """Renamed, dropped, added, written otherwise, or in another unit."""
    with pytest.raises(DataInvalid, match=message):
        check_raw(DATASET, rows)


def test_a_scale_that_a_rule_of_the_dataset_mends_passes() -> None:
    """The grade 11 to 49 is divided by ten by the dataset's own rule before its range is looked at."""
    check_raw(DATASET, DAY.assign(condition=(DAY["condition"] * 10).round().replace(10, 1)))


def test_marks_for_not_known_are_not_out_of_range() -> None:
    """A delivery full of marks is poor, but it is what the dataset declares."""
    check_raw(DATASET, DAY.assign(odometer=999_999))


def test_numbers_in_text_columns_are_fine() -> None:
    """A model may be called 300."""
    check_raw(DATASET, DAY.assign(model=300))


def test_another_dataset_is_checked_by_its_own_declaration() -> None:
    """Nothing in the check knows cars."""
    houses = datasets.load("house_prices")
    with pytest.raises(DataInvalid, match="is missing"):
        check_raw(houses, DAY)


@needs_shared_data
@pytest.mark.parametrize(
    "name", ["car_auctions.parquet", "car_auctions_raw_text.csv", "car_auctions_two_models.parquet"]
)
def test_every_real_day_passes(name: str) -> None:
    """No real day is stopped by the check, however thin or dirty."""
    source = open_source(f"folder:{SHARED_DATA / name}", DATASET, seed=0, today=TUESDAY)
    newest = source.newest_day()
    days = [newest - pd.Timedelta(days=back) for back in range(0, 250, 3)]
    checked = [check_raw(DATASET, rows) for rows in map(source.read, days) if len(rows)]
    assert len(checked) >= 10
