"""The simulated auction: invented sales of used cars, the same for the same day and seed.

About 900 cars a weekday, with depreciation, mileage, condition, a guide price that knows less than the buyers,
season, slow market drift, fat-tailed surprises and about as much dirt as real sales have. Not here: the market's
figures (``simulated_catalogue.py``), its lasting habits (``simulated_world.py``), the dirt (``simulated_dirt.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.datasets.declaration import Dataset
from pipeline.errors import SettingsInvalid
from pipeline.sources.simulated_catalogue import SEASONS
from pipeline.sources.simulated_dirt import with_dirt
from pipeline.sources.simulated_world import Floats, World, world

DATASET = "car_auctions"
WEEKDAY_SALES = (520, 1060, 1160, 1150, 740)  # Monday to Friday
WEEKEND_CHANCE = 0.06
HOLIDAYS = ((1, 1), (7, 4), (12, 25))
# How far a price strays, by Student's t with 3.5 degrees of freedom (log price, of a new car; old cars stray more)
SURPRISE, SURPRISE_BY_YEAR = 0.043, 0.0035
WRECKS, WRECKS_BY_WEAR = 0.003, 0.002
# What part of an effect the guide price knows
GUIDE_KNOWS_TRIM, GUIDE_KNOWS_MILES, GUIDE_KNOWS_CONDITION = 0.8, 0.85, 0.55
GUIDE_NOISE, GUIDE_LAG_DAYS = 0.02, 14
MANUAL_SHARE, MANUAL_EFFECT = 0.035, -0.05
DRIFT = ((0.03, 137), (0.025, 611), (0.01, 47))  # log price, period in days
LONGEST_PAUSE = 14  # days
DEAR = (10_000, 20_000)  # dollars
VIN_SIGNS = np.array(list("0123456789abcdefghjklmnprstuvwxyz"))

Ints = npt.NDArray[np.int64]


class SimulatedSource:
    """Sales of any day until yesterday."""

    def __init__(self, dataset: Dataset, seed: int, today: date) -> None:
        if dataset.name != DATASET:
            raise SettingsInvalid(f"simulated: has sales for {DATASET} only; give {dataset.name} a source of its own")
        self.description = f"simulated used-car auction (seed {seed})"
        self._seed = seed
        self._newest = today - timedelta(days=1)

    def read(self, day: date) -> pd.DataFrame:
        return pd.DataFrame() if day > self._newest else simulate(day, self._seed)

    def newest_day(self) -> date | None:
        days = (self._newest - timedelta(days=back) for back in range(LONGEST_PAUSE))
        return next((day for day in days if len(simulate(day, self._seed))), None)


@dataclass(frozen=True)
class Sales:
    """A day's cars, one entry each: indexes into the world's lists, age in years, miles driven, grade."""

    car: Ints
    seller: Ints
    state: Ints
    color: Ints
    interior: Ints
    age: Floats
    year: Ints
    miles: Floats
    condition: npt.NDArray[Any]
    manual: npt.NDArray[np.bool_]


def simulate(day: date, seed: int) -> pd.DataFrame:
    """The sales of ``day``: 16 columns, prices in US dollars, distances in miles. No rows on most weekend days."""
    rng = np.random.default_rng([seed, day.toordinal()])
    rows = _how_many(rng, day)
    if rows == 0:
        return pd.DataFrame()
    market = world(seed)
    sales = _cars_of(rng, market, day, rows)
    guide, price = _prices(rng, market, sales, day)
    frame = _frame(rng, market, sales).assign(mmr=guide, sellingprice=price, saledate=_moments(rng, day, rows))
    return with_dirt(rng, frame)


def _how_many(rng: np.random.Generator, day: date) -> int:
    busy, chance, few = rng.normal(0, 0.12), rng.random(), int(rng.integers(1, 13))
    if (day.month, day.day) in HOLIDAYS:
        return 0
    if day.weekday() >= len(WEEKDAY_SALES):
        return few if chance < WEEKEND_CHANCE else 0
    return round(WEEKDAY_SALES[day.weekday()] * float(np.exp(busy)))


def _cars_of(rng: np.random.Generator, market: World, day: date, rows: int) -> Sales:
    def pick(share: Floats) -> Ints:
        return np.searchsorted(np.cumsum(share)[:-1], rng.random(rows), side="right").astype(np.int64)

    seller = pick(market.sellers.share)
    youngest, oldest = market.sellers.youngest[seller], market.sellers.oldest[seller]
    age = youngest + (oldest - youngest) * rng.beta(1.5, 2.5, rows) + rng.gamma(0.35, 0.15 * oldest)
    now = day.year + day.timetuple().tm_yday / 365.25 + 0.3  # a model year begins in autumn
    year = np.floor(now - age).astype(np.int64)
    age = now - year.astype(np.float64)
    miles = 300 + age * market.sellers.miles[seller] * np.exp(rng.normal(0, 0.33, rows))
    condition = market.sellers.condition[seller] - 0.08 * (age - 4) + rng.normal(0, 0.6, rows)
    return Sales(
        car=pick(market.cars.share),
        seller=seller,
        state=pick(market.states.share),
        color=pick(market.colors.share),
        interior=pick(market.interiors.share),
        age=age,
        year=year,
        miles=np.round(miles),
        condition=np.round(np.clip(condition, 1, 5), 1),
        manual=rng.random(rows) < MANUAL_SHARE,
    )


def _prices(rng: np.random.Generator, market: World, sales: Sales, day: date) -> tuple[Ints, Ints]:
    """Guide price and price, in dollars."""
    cars, car, age = market.cars, sales.car, sales.age
    new = np.log(cars.price[car]) - cars.loss[car] * (age - 0.01 * np.minimum(age, 25) ** 2)
    miles = -0.15 * np.log((sales.miles + 15_000) / (12_500 * age + 15_000))
    condition = (0.04 + 0.007 * age) * (sales.condition - 3.4)
    bought = (
        market.sellers.effect[sales.seller]
        + market.states.effect[sales.state]
        + market.colors.effect[sales.color]
        + market.interiors.effect[sales.interior]
        + MANUAL_EFFECT * sales.manual
    )
    price = new + cars.trim_effect[car] + miles + condition + bought + _market(day) + _season(market, sales, day)
    guide = new + GUIDE_KNOWS_TRIM * cars.trim_effect[car] + GUIDE_KNOWS_MILES * miles + cars.odd[car]
    guide += GUIDE_KNOWS_CONDITION * condition + _market(day - timedelta(days=GUIDE_LAG_DAYS))
    guide += rng.normal(0, GUIDE_NOISE, len(car))
    return _rounded(guide, 25), _rounded(price + _surprise(rng, sales), 50)


def _surprise(rng: np.random.Generator, sales: Sales) -> Floats:
    """What nobody could know: fat tails, and now and then a car that turns out to be a wreck."""
    rows = len(sales.age)
    strays = (SURPRISE + SURPRISE_BY_YEAR * sales.age) * rng.standard_t(3.5, rows)
    wreck = rng.random(rows) < WRECKS + WRECKS_BY_WEAR * np.maximum(0, 3 - sales.condition) * sales.age
    return np.clip(strays, -2, 0.8) - wreck * rng.gamma(2, 0.45, rows)


def _market(day: date) -> float:
    return sum(size * float(np.sin(2 * np.pi * day.toordinal() / period)) for size, period in DRIFT)


def _season(market: World, sales: Sales, day: date) -> Floats:
    percent = np.zeros(len(market.cars.body))
    for body, months in SEASONS.items():
        percent[market.cars.body == body] = months[day.month - 1]
    return np.log1p(percent / 100)[sales.car]


def _rounded(log_price: Floats, step: int) -> Ints:
    """To ``step`` dollars, dear cars to twice or four times that, at least 100."""
    price = np.exp(log_price)
    steps = step * 2 ** np.searchsorted(DEAR, price)
    return np.maximum(100, np.round(price / steps) * steps).astype(np.int64)


def _moments(rng: np.random.Generator, day: date, rows: int) -> npt.NDArray[np.datetime64]:
    minutes = rng.integers(2 * 60, 6 * 60, rows) // 30 * 30
    return np.datetime64(day, "ms") + minutes.astype("timedelta64[m]")


def _frame(rng: np.random.Generator, market: World, sales: Sales) -> pd.DataFrame:
    rows = len(sales.car)
    vins = VIN_SIGNS[rng.integers(0, len(VIN_SIGNS), (rows, 17))].view("U17").ravel()
    return pd.DataFrame(
        {
            "year": sales.year,
            "make": market.cars.make[sales.car],
            "model": market.cars.model[sales.car],
            "trim": market.cars.trim[sales.car],
            "body": market.cars.body[sales.car],
            "transmission": np.where(sales.manual, "manual", "automatic").astype(object),
            "vin": vins.astype(object),
            "state": market.states.word[sales.state],
            "condition": sales.condition,
            "odometer": sales.miles,
            "color": market.colors.word[sales.color],
            "interior": market.interiors.word[sales.interior],
            "seller": market.sellers.name[sales.seller],
        }
    )
