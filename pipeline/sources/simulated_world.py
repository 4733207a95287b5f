"""The simulated auction's world: the catalogue as arrays, and the habits of its sellers, drawn once for a seed.

Effects are in natural-log price. Not here: the catalogue's figures, or a day's sales.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pipeline.sources import simulated_catalogue as catalogue

Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.object_]
STATE_SPREAD, SELLER_SPREAD, GUIDE_SPREAD = 0.03, 0.04, 0.028


@dataclass(frozen=True)
class Cars:
    """One entry for each trim of each model; ``share`` adds up to 1, ``price`` is that of a new car in dollars."""

    make: Words
    model: Words
    trim: Words
    body: Words
    share: Floats
    price: Floats
    trim_effect: Floats
    loss: Floats
    odd: Floats  # what the guide price has wrong about this trim, for good


@dataclass(frozen=True)
class Sellers:
    """One entry for each seller: ages in years, miles a year, usual grade, effect on the price."""

    name: Words
    share: Floats
    youngest: Floats
    oldest: Floats
    miles: Floats
    condition: Floats
    effect: Floats


@dataclass(frozen=True)
class Choice:
    """Words with how common they are and what they do to the price."""

    word: Words
    share: Floats
    effect: Floats


@dataclass(frozen=True)
class World:
    cars: Cars
    sellers: Sellers
    states: Choice
    colors: Choice
    interiors: Choice


@lru_cache(maxsize=4)
def world(seed: int) -> World:
    """The same seed gives the same world."""
    rng = np.random.default_rng([seed, 0])
    states = catalogue.STATES
    return World(
        cars=_cars(rng),
        sellers=_sellers(rng),
        states=Choice(
            _words(name for name, _ in states),
            _shares([share for _, share in states]),
            _centred(rng.normal(0, STATE_SPREAD, len(states)), [share for _, share in states]),
        ),
        colors=_choice(catalogue.COLORS),
        interiors=_choice(catalogue.INTERIORS),
    )


def _cars(rng: np.random.Generator) -> Cars:
    rows = [
        (make, model, trim, catalogue.BODIES[body], sold * often, price, part, loss)
        for make, sold, loss, trims, models in catalogue.MAKES
        for model, body, price, often in map(_model, models.split(", "))
        for trim, part in map(_trim, trims.split(", "))
    ]
    make, model, trim, body, share, price, part, loss = zip(*rows, strict=True)
    trim_effect = np.log(np.array(part))
    sold = np.array(share) * np.exp(-2 * np.abs(trim_effect))
    return Cars(
        make=_words(make),
        model=_words(model),
        trim=_words(trim),
        body=_words(body),
        share=_shares(sold),
        price=np.array(price),
        trim_effect=_centred(trim_effect, sold),
        loss=np.array(loss),
        odd=_centred(rng.normal(0, GUIDE_SPREAD, len(rows)), sold),
    )


def _model(text: str) -> tuple[str, str, float, float]:
    name, body, price, often = text.rsplit(" ", 3)
    return name.replace("_", " "), body, float(price) * 1000, float(often)


def _trim(text: str) -> tuple[str, float]:
    name, part = text.rsplit(" ", 1)
    return name, float(part)


def _sellers(rng: np.random.Generator) -> Sellers:
    """Each kind's sellers differ in size (a few sell most), in what they bring, and in the price they get."""
    names, shares, habits = [], [], []
    for kind, count, part, youngest, oldest, miles, condition, endings in catalogue.SELLER_KINDS:
        size = 1 / np.arange(1.0, count + 1)
        shares.append(part * size / size.sum())
        habits += [(youngest, oldest, miles, condition)] * count
        names += [_seller_name(kind, number, endings) for number in range(count)]
    youngest, oldest, miles, condition = np.array(habits).T
    share = _shares(np.concatenate(shares))
    return Sellers(
        name=_words(names),
        share=share,
        youngest=youngest,
        oldest=oldest * rng.uniform(0.8, 1.2, len(names)),
        miles=miles * rng.uniform(0.85, 1.15, len(names)),
        condition=condition + rng.normal(0, 0.25, len(names)),
        effect=_centred(rng.normal(0, SELLER_SPREAD, len(names)), share),
    )


def _seller_name(kind: str, number: int, endings: tuple[str, ...]) -> str:
    places = catalogue.SELLER_NAMES
    start = {"rental": 0, "lease": 5, "bank": 11, "dealer": 17}[kind]
    return f"{places[(start + number) % len(places)]} {endings[number % len(endings)]}"


def _choice(rows: tuple[tuple[str, float, float], ...]) -> Choice:
    """Effects are given in percent."""
    words, shares, effects = zip(*rows, strict=True)
    return Choice(_words(words), _shares(shares), _centred(np.log1p(np.array(effects) / 100), shares))


def _words(words: Iterable[str]) -> Words:
    return np.array(list(words), dtype=object)


def _shares(shares: Iterable[float]) -> Floats:
    given = np.array(list(shares), dtype=np.float64)
    return given / given.sum()


def _centred(effects: Floats, shares: Iterable[float]) -> Floats:
    """So that the average car costs what the catalogue says, and the guide price is right on average."""
    return effects - float(np.average(effects, weights=np.array(list(shares))))
