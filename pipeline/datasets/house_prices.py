"""Houses sold: a second problem, declared in one file. Rows come from whatever source it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.datasets.declaration import Categorical, Dataset, Numeric, Rule, SaleDate, Slice

if TYPE_CHECKING:
    import pandas as pd


def _without_shells(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[~(frame["sale_price"] < 50 * frame["size"])]


DATASET = Dataset(
    name="house_prices",
    model_name="house_price",
    title="House prices",
    date=SaleDate("sold_on"),
    target=Numeric("sale_price", "USD", "the price the house went for", 1_000, 50_000_000, 320_000),
    columns=(
        Numeric("size", "m2", "living area", 10, 2_000, 120),
        Numeric("rooms", "rooms", "rooms without kitchen and bathrooms", 1, 50, 4, missing=(0,)),
        Numeric("age", "years", "years since it was built", 0, 500, 25),
        Categorical("location", "district", "Riverside", missing=("n/a",)),
    ),
    reference=("location", "rooms"),
    groups=(("location",), ("location", "rooms")),
    peers=((("location",), ("location", "rooms")),),
    rules=(Rule("shells", "sold for less than 50 USD a square metre", _without_shells, training_only=True),),
    slices=(
        Slice("location", "location"),
        Slice("age", "age", edges=(5, 20, 50)),
        Slice("price", "sale_price", edges=(150_000, 300_000, 600_000)),
    ),
)
