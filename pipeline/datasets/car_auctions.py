"""Used cars sold at auction: the one list of columns, and how the rows are cleaned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.datasets.declaration import Categorical, Dataset, Numeric, Rule, SaleDate, Slice

if TYPE_CHECKING:
    import pandas as pd

NOT_GIVEN = ("\N{EM DASH}",)


def _condition_in_tenths(frame: pd.DataFrame) -> pd.DataFrame:
    whole = frame["condition"] > 5
    return frame.assign(condition=frame["condition"].where(~whole, frame["condition"] / 10))


def _without_giveaways(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[~(frame["sellingprice"] < 300)]


def _without_slips(frame: pd.DataFrame) -> pd.DataFrame:
    ratio = frame["sellingprice"] / frame["mmr"]
    return frame[~((ratio >= 2) | (ratio <= 0.3))]


DATASET = Dataset(
    name="car_auctions",
    model_name="car_price",
    title="Used-car auction prices",
    date=SaleDate(
        "saledate",
        patterns=(
            r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})",
            r"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) (?P<day>\d{2}) (?P<year>\d{4})",
        ),
    ),
    target=Numeric("sellingprice", "USD", "the price the car went for", 1, 1_000_000, 13_500),
    columns=(
        Numeric("year", "model year", "model year of the car", 1900, 2100, 2013),
        Categorical("make", "maker", "Ford"),
        Categorical("model", "model", "F-150"),
        Categorical("trim", "trim level", "XLT"),
        Categorical("body", "body style", "SuperCrew"),
        Categorical("transmission", "gearbox", "automatic"),
        Categorical("state", "where it is sold: US state or Canadian province", "tx"),
        Numeric("condition", "grade", "the auction's grade, higher is better", 1, 5, 3.4),
        Numeric("odometer", "miles", "distance driven", 0, 1_000_000, 48_000, missing=(1, 999_999)),
        Categorical("color", "outside colour", "white", missing=NOT_GIVEN),
        Categorical("interior", "inside colour", "gray", missing=NOT_GIVEN),
        Categorical("seller", "who sells it", "ford motor credit company llc"),
        Numeric("mmr", "USD", "guide price: a professional estimate of the market price", 1, 1_000_000, 22_400),
    ),
    baseline="mmr",
    ignored=("vin",),
    reference=("make", "model", "year"),
    groups=(
        ("make",),
        ("make", "year"),
        ("make", "model"),
        ("make", "model", "year"),
        ("make", "model", "trim"),
        ("make", "model", "trim", "year"),
        ("make", "model", "trim", "body", "transmission", "year"),
        ("make", "model", "color"),
        ("color",),
        ("state",),
        ("seller",),
        ("seller", "year"),
        ("seller", "make"),
        ("seller", "make", "model"),
    ),
    peers=(
        (("make", "model", "year"), ("make", "model", "trim", "year")),
        (("make", "model"),),
        (("seller",), ("seller", "make", "model")),
        (("seller",),),
        (("state",),),
    ),
    rules=(
        Rule("condition_scale", "a condition above 5 is on the scale 11-49: divided by 10", _condition_in_tenths),
        Rule("giveaways", "sold for less than 300 USD", _without_giveaways, training_only=True),
        Rule(
            "price_slips",
            "price at least twice or at most 0.3 times mmr: wrecks and slips of the keyboard",
            _without_slips,
            training_only=True,
            uses_baseline=True,
        ),
    ),
    slices=(
        Slice("make", "make"),
        Slice("age", "year", edges=(2, 4, 7, 11), years_before_sale=True),
        Slice("price", "sellingprice", edges=(2_000, 5_000, 10_000, 15_000, 20_000, 30_000, 50_000)),
    ),
)
