"""Cleaning: what each rule drops and mends is counted, and the form of a delivery does not matter."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cleaning import DAY, RuleCount, clean, clean_schema, for_training
from pipeline.datasets.declaration import Dataset, Rule
from pipeline.errors import DataInvalid
from pipeline.sources import open_source
from tests.pipeline.auction_rows import DATASET, TUESDAY, as_parquet, sales

DASH = "\N{EM DASH}"
GOOD = {
    "year": 2012, "make": "Ford", "model": "Focus", "trim": "SE", "body": "Sedan", "transmission": "automatic",
    "vin": "v", "state": "tx", "condition": 3.5, "odometer": 40_000, "color": "red", "interior": "black",
    "seller": "a dealer", "mmr": 10_000, "sellingprice": 9_500, "saledate": "2026-03-03", DAY: "2026-03-03",
}  # fmt: skip


def rows(*changes: dict[str, Any]) -> pd.DataFrame:
    """One good row for each of ``changes``, changed; each is another car."""
    return pd.DataFrame([GOOD | {"vin": f"v{i}"} | change for i, change in enumerate(changes)]).astype(object)


def counted(counts: tuple[RuleCount, ...]) -> dict[str, tuple[int, int]]:
    """What each rule dropped and mended, without the rules that did nothing."""
    return {count.rule: (count.dropped, count.mended) for count in counts if count.dropped or count.mended}


CASES: dict[str, tuple[list[dict[str, Any]], dict[str, tuple[int, int]], int]] = {
    "good rows are left alone": ([{}, {}], {}, 2),
    "the same row twice": ([{"vin": "x"}, {"vin": "x"}, {"vin": "x"}], {"duplicates": (2, 0)}, 1),
    "the same car for another price is another sale": ([{"vin": "x"}, {"vin": "x", "sellingprice": 9_000}], {}, 2),
    "a number that is none": ([{"odometer": "many"}, {"condition": "?"}], {"unreadable": (0, 2)}, 2),
    "a number that is not given is not unreadable": ([{"odometer": ""}, {"odometer": None}, {"odometer": " "}], {}, 3),
    "no price": ([{"sellingprice": None}, {"sellingprice": ""}, {"sellingprice": "free"}], {"no_target": (3, 0)}, 0),
    "a price out of its range": ([{"sellingprice": 0}, {"sellingprice": 2e6}, {}], {"no_target": (2, 0)}, 1),
    "both ends of the price's range count": ([{"sellingprice": 1}, {"sellingprice": 1e6}], {}, 2),
    "marks for a mileage that is not known": ([{"odometer": 1}, {"odometer": "999999"}], {"missing_marks": (0, 2)}, 2),
    "the scale 11 to 49": ([{"condition": 35}, {"condition": "49"}, {"condition": 5}], {"condition_scale": (0, 2)}, 3),
    "out of range": ([{"year": 1850, "odometer": -1}, {"odometer": 1e9}], {"out_of_range": (0, 3)}, 2),
    "a grade that no scale has": ([{"condition": 7}], {"condition_scale": (0, 1), "out_of_range": (0, 1)}, 1),
    "no baseline": ([{"mmr": None}, {"mmr": ""}], {"no_baseline": (2, 0)}, 0),
    "a baseline out of range is no baseline": ([{"mmr": 0}, {}], {"out_of_range": (0, 1), "no_baseline": (1, 0)}, 1),
    "infinity is no number": ([{"odometer": "inf"}, {"odometer": "1e999"}], {"out_of_range": (0, 2)}, 2),
}


@pytest.mark.parametrize("what", CASES)
def test_each_rule_counts_what_it_dropped_and_mended(what: str) -> None:
    """Rows dropped, cells mended, and how many rows are left."""
    given_rows, wanted, left = CASES[what]
    frame, counts = clean(DATASET, rows(*given_rows))
    assert counted(counts) == wanted
    assert len(frame) == left


def test_every_rule_is_reported_also_when_it_did_nothing() -> None:
    """In the order in which they are applied, each with a sentence."""
    _, counts = clean(DATASET, rows({}))
    assert [count.rule for count in counts] == [
        "duplicates", "unreadable", "no_target", "missing_marks", "condition_scale", "out_of_range", "no_baseline",
    ]  # fmt: skip
    assert all(count.description for count in counts)


def test_the_values_after_mending() -> None:
    """Tenths of the other scale, NaN for what is not known, "" for a missing text; the text itself is kept."""
    frame, _ = clean(
        DATASET,
        rows({"condition": 35}, {"condition": "49", "odometer": 1}, {"make": None, "trim": " SE ", "color": DASH}),
    )
    assert frame["condition"].tolist() == [3.5, 4.9, 3.5]
    assert np.isnan(frame["odometer"][1])
    assert frame.loc[2, ["make", "trim", "color"]].tolist() == ["", " SE ", DASH]


def test_a_clean_frame_has_the_declared_columns_and_types() -> None:
    """Numbers as float64, text as text, the target, the day; what is ignored is gone."""
    frame, _ = clean(DATASET, rows({}, {"odometer": None, "color": None}))
    assert list(frame.columns) == [DAY, *(column.name for column in DATASET.columns), "sellingprice"]
    for column in (*DATASET.numeric(), DATASET.target):
        assert frame[column.name].dtype == np.float64
    for column in DATASET.categorical():
        assert frame[column.name].map(type).eq(str).all()
    clean_schema(DATASET).validate(frame)


def test_rows_that_are_not_to_be_learned_from_are_left_out_of_training_only() -> None:
    """Giveaways and slips are cleaned rows that a model is scored on; the index is kept."""
    frame, _ = clean(
        DATASET, rows({"sellingprice": 299, "mmr": 500}, {}, {"sellingprice": 20_000}, {"sellingprice": 3_000})
    )
    assert len(frame) == 4
    learn, counts = for_training(DATASET, frame, with_baseline=True)
    assert learn.index.tolist() == [1]
    assert counted(counts) == {"giveaways": (1, 0), "price_slips": (2, 0)}


def test_without_the_baseline_no_rule_looks_at_it() -> None:
    """A user who lacks the guide price could not apply such a rule."""
    frame, _ = clean(DATASET, rows({"sellingprice": 299, "mmr": 500}, {}, {"sellingprice": 20_000}))
    learn, counts = for_training(DATASET, frame, with_baseline=False)
    assert learn.index.tolist() == [1, 2]
    assert counted(counts) == {"giveaways": (1, 0)}


SPOILT: dict[str, dict[str, Any]] = {"good": {}, "no price": {"sellingprice": None}, "no baseline": {"mmr": None}}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([*SPOILT, "again"]), min_size=1, max_size=12))
def test_rows_keep_their_order(kinds: list[str]) -> None:
    """Whatever is dropped between them, also the same row delivered again; the index is new."""
    given_rows: list[dict[str, Any]] = []
    for i, kind in enumerate(kinds):
        again = kind == "again" and given_rows
        given_rows.append(given_rows[0] if again else {"vin": f"v{i}", "odometer": 10_000 + i} | SPOILT.get(kind, {}))
    good = [row["odometer"] for row in given_rows if row.get("sellingprice", 1) and row.get("mmr", 1)]
    frame, _ = clean(DATASET, rows(*given_rows))
    assert frame["odometer"].tolist() == list(dict.fromkeys(good))
    assert frame.index.tolist() == list(range(len(frame)))


def test_clean_rows_cleaned_again_are_the_same() -> None:
    """No rule undoes another, and nothing is left to be found."""
    raw = sales(rows=400).assign(**{DAY: TUESDAY.isoformat()})
    once, _ = clean(DATASET, raw)
    twice, counts = clean(DATASET, once)
    pd.testing.assert_frame_equal(once, twice)
    assert counted(counts) == {}


def test_a_window_of_no_rows_is_no_error() -> None:
    """Every row of a day may have been dropped."""
    frame, counts = clean(DATASET, rows({"mmr": None}))
    assert frame.empty
    assert counted(counts) == {"no_baseline": (1, 0)}


def with_rule(apply: Any) -> Dataset:
    return dataclasses.replace(DATASET, rules=(Rule("cents", "dollars to cents", apply),))


WRONG_RULES: dict[str, tuple[Any, str]] = {
    "a price out of its range": (lambda f: f.assign(sellingprice=f["sellingprice"] * 1e6), "sellingprice: in_range"),
    "a text made a number": (lambda f: f.assign(make=1.0), "make: "),
    "a number made text": (lambda f: f.assign(sellingprice="dear"), "sellingprice: "),
    "a new column": (lambda f: f.assign(extra=1), "cents.*extra"),
    "a lost column": (lambda f: f.drop(columns="color"), "cents.*color"),
}


@pytest.mark.parametrize("what", WRONG_RULES)
def test_a_rule_that_breaks_the_declaration_is_found(what: str) -> None:
    """The error names the column, and the rule where that can be known."""
    apply, message = WRONG_RULES[what]
    with pytest.raises(DataInvalid, match=message):
        clean(with_rule(apply), rows({}, {}))


def test_the_text_of_an_error_counts_the_rows() -> None:
    """How many are wrong, not each of them."""
    with pytest.raises(DataInvalid, match=r"\(2 rows\)"):
        clean(with_rule(lambda f: f.assign(sellingprice=f["sellingprice"] * 1e6)), rows({}, {}))


def as_raw_text(frame: pd.DataFrame) -> bytes:
    """The same sales as their publisher writes them: BOM, CRLF, dates in words, condition 11-49, nothing for missing."""
    condition = (frame["condition"] * 10).round().where(frame["condition"] % 1 != 0, frame["condition"])
    when = frame["saledate"].dt.strftime("%a %b %d %Y %H:%M:%S GMT-0800 (PST)")
    odometer = frame["odometer"].map("{:.0f}".format, na_action="ignore")
    text = frame.assign(condition=condition.map("{:.0f}".format), saledate=when, odometer=odometer)
    return b"\xef\xbb\xbf" + text.to_csv(index=False, lineterminator="\r\n").encode()


def delivered(path: Path, data: bytes) -> pd.DataFrame:
    path.write_bytes(data)
    return open_source(f"folder:{path}", DATASET, seed=0, today=date(2030, 1, 1)).read(TUESDAY)


def test_raw_text_and_typed_rows_give_the_same_clean_rows(tmp_path: Path) -> None:
    """Byte-order mark, line ends, date text, the other scale and empty cells make no difference."""
    frame = sales(rows=300)
    frame.loc[:4, "make"] = None
    text = delivered(tmp_path / "raw.csv", as_raw_text(frame))
    typed = delivered(tmp_path / "typed.parquet", as_parquet(frame))
    assert (text["condition"].str.len() == 2).any()
    assert text["saledate"].str.contains("GMT").all()
    ours, theirs = (clean(DATASET, each.assign(**{DAY: TUESDAY.isoformat()})) for each in (text, typed))
    pd.testing.assert_frame_equal(ours[0], theirs[0])
    assert len(ours[0]) == 300
    mended = counted(ours[1])
    assert mended.pop("condition_scale")[1] == int((frame["condition"] % 1 != 0).sum())
    assert mended == counted(theirs[1])
