"""Volume and columns beside those before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.checks.data import schema, volume
from pipeline.contract.schema import Column, RowsInvalid, Schema
from tests.pipeline.checks.cases import case, champion, with_columns
from tests.pipeline.tiny_model import SCHEMA, make_bundle

BUNDLE = make_bundle()
YEAR, MAKE, MILES, GUIDE = SCHEMA.inputs


def counted(*rows: int, live: int | None = None) -> tuple[Any, Any]:
    """The checks of a window with these rows on its days, beside a champion's with ``live`` rows."""
    days = [[f"2015-06-{day:02d}", 1, count, "s"] for day, count in enumerate(rows, start=1)]
    made = with_columns(BUNDLE, days=days, rows=sum(rows))
    other = champion(with_columns(BUNDLE, rows=live)) if live else None
    newest, window = volume(case(candidate=made, champion=other))
    return newest, window


@pytest.mark.parametrize(
    ("newest", "passed", "warned"),
    [(100, True, False), (20, True, False), (19, True, True), (500, True, False), (501, True, True), (2_400, True, True), (2_401, False, False)],
)  # fmt: skip
def test_the_newest_day_beside_those_before(newest: int, passed: bool, warned: bool) -> None:
    """Few or many are told; twenty times the largest so far is no market, but a delivery repeated."""
    found, _ = counted(100, 0, 90, 120, newest)
    assert (found.figure, found.passed, found.warned) == (newest, passed, warned)


def test_too_few_days_before_say_nothing() -> None:
    """The third day of all is not judged."""
    assert counted(1, 2, 100_000)[0].passed


@pytest.mark.parametrize(("live", "passed"), [(3_000, True), (3_001, False), (None, True)])
def test_a_window_that_has_lost_most_of_its_rows_is_refused(live: int | None, passed: bool) -> None:
    """Less than a tenth of what the champion learned from."""
    assert counted(100, 100, 100, live=live)[1].passed is passed


def columns(*inputs: Column) -> Any:
    """The check of a candidate with these columns beside the usual champion."""
    return schema(case(candidate=with_columns(BUNDLE, *inputs), champion=champion()))


def test_the_same_columns_pass() -> None:
    """In another order as well."""
    assert columns(GUIDE, MILES, MAKE, YEAR).text == "the columns of the champion"


def test_a_new_column_is_told() -> None:
    """Nobody has to send it."""
    found = columns(*SCHEMA.inputs, Column("colour", "categorical"))
    assert (found.passed, found.warned, found.text) == (True, True, "`colour` is new")


def test_a_wider_range_passes() -> None:
    """And a number that need not be given any more."""
    assert columns(replace(YEAR, minimum=None), MAKE, MILES, replace(GUIDE, required=False, maximum=2e6)).passed


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((YEAR, MAKE, GUIDE), "`odometer` is gone"),
        ((*SCHEMA.inputs, Column("doors", "numeric", required=True)), "`doors` is new and must be given"),
        ((replace(YEAR, kind="categorical"), MAKE, MILES, GUIDE), "`year` is categorical, was numeric"),
        ((replace(YEAR, required=True), MAKE, MILES, GUIDE), "`year` must be given now"),
        ((replace(YEAR, minimum=1950), MAKE, MILES, GUIDE), "`year` may not be below 1950 any more"),
        ((YEAR, MAKE, MILES, replace(GUIDE, maximum=9e5)), "`mmr` may not be above 900000 any more"),
    ],
)
def test_a_request_that_would_be_refused_now_is_a_refusal(inputs: tuple[Column, ...], words: str) -> None:
    """Clients have not changed overnight."""
    found = columns(*inputs)
    assert not found.passed
    assert words in found.text
    assert "no request that version 1 takes may be refused" in found.text


@st.composite
def some_columns(draw: st.DrawFn) -> tuple[Column, ...]:
    names = draw(st.lists(st.sampled_from("abc"), unique=True, min_size=1))
    bounds = st.none() | st.integers(-3, 3).map(float)
    return tuple(
        Column(name, draw(st.sampled_from(["numeric", "categorical"])), required=draw(st.booleans()), minimum=draw(bounds), maximum=draw(bounds))
        for name in names
    )  # fmt: skip


VALUES = st.one_of(st.none(), st.integers(-4, 4), st.sampled_from(["", "x"]))


USUAL = case()


@settings(deadline=None)
@given(some_columns(), some_columns(), st.dictionaries(st.sampled_from("abc"), VALUES))
def test_what_passes_takes_every_row_that_the_champion_takes(
    before: tuple[Column, ...], now: tuple[Column, ...], row: dict[str, Any]
) -> None:
    """The law behind the check."""
    live = champion(with_columns(BUNDLE, *before))
    found = schema(replace(USUAL, candidate=with_columns(BUNDLE, *now), champion=live))
    if found.passed and taken(before, row):
        assert taken(now, row)


def taken(inputs: tuple[Column, ...], row: dict[str, Any]) -> bool:
    try:
        Schema(inputs, "USD").arrays([row])
    except RowsInvalid:
        return False
    return True
