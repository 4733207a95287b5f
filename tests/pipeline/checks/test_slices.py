"""Parts of the market beside the champion."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.checks.case import Duel
from pipeline.checks.slices import slices
from tests.pipeline.checks.cases import case, champion
from tests.pipeline.tiny_model import predictions


def fought(factor: Any, *, rows: int = 400, handicap: float = 1.0) -> Any:
    """The check where our errors are ``factor`` (one for each row's maker) times the champion's."""
    table = predictions(count=rows)
    theirs = np.abs(np.random.default_rng(4).normal(0, 500, rows))
    ours = theirs * table["make"].map(factor).to_numpy(np.float64)
    return slices(case(), Duel(champion(), table, ours, theirs, handicap), 0.05)


def test_one_bad_part_is_found_and_named() -> None:
    """Though the whole is better than before."""
    found = fought(lambda make: 1.6 if make == "Kia" else 0.5)
    assert not found.passed
    assert "1 of" in found.text
    assert "make kia" in found.text
    assert found.figure > found.limit


def test_a_part_may_lose_a_little() -> None:
    """A fifth is within the limit."""
    assert fought(lambda make: 1.2 if make == "Kia" else 1.0).passed


def test_the_limit_grows_with_the_handicap() -> None:
    """A held-out fit that learned from far fewer rows is excused."""
    assert fought(lambda make: 1.6 if make == "Kia" else 0.5, handicap=1.5).passed


def test_parts_without_rows_are_not_judged() -> None:
    """Fewer than 50 say nothing."""
    assert fought(lambda make: 9.0, rows=40).text == "no slice has 50 of the newest rows"


def test_many_parts_do_not_make_chance_a_refusal() -> None:
    """Equal models with independent errors: in 5 tries no slice is surely worse."""
    table = predictions()
    for seed in range(5):
        errors = np.abs(np.random.default_rng(seed).normal(0, 500, (2, len(table))))
        assert slices(case(), Duel(champion(), table, errors[0], errors[1], 1.0), 0.05).passed


def test_without_a_champion_there_is_nothing_to_compare() -> None:
    """In the same words as the check of the whole."""
    assert slices(case(), "there is no champion yet", 0.05).text == "there is no champion yet"
