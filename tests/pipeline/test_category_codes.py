"""Codes of texts."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.category_codes import CategoryCodes, fold


def coded(seen: Sequence[str], asked: Sequence[str], missing: tuple[str, ...] = ()) -> list[float]:
    codes = CategoryCodes((missing,)).fit(pd.DataFrame({"a": list(seen)}, dtype=object))
    return list(codes.transform(pd.DataFrame({"a": list(asked)}, dtype=object))[:, 0])


@pytest.mark.parametrize("asked", ["Ford", "ford", "FORD", "land rover", "Land Rover", "LAND ROVER", "Land rover"])
def test_spellings_that_differ_in_case_share_a_code(asked: str) -> None:
    """Also a spelling that was not seen."""
    codes = coded(["Ford", "Land  Rover ", "Kia"], [asked, "kia"])
    assert codes[0] == coded(["Ford", "Land  Rover ", "Kia"], [fold(asked, frozenset())])[0] > 0
    assert codes[0] != codes[1]


def test_blanks_do_not_matter_in_what_was_seen() -> None:
    """Outer ones and two in a row."""
    assert len(set(coded(["a b", " a b", "a  b", "A B "], ["a b", " a b", "a  b", "A B ", "A B"]))) == 1


def test_an_unseen_text_has_code_0() -> None:
    """It is something else than "not known"."""
    unseen, empty, mark = coded(["red", "blue"], ["green", "", "-"], missing=("-",))
    assert unseen == 0
    assert empty == mark > 0


def test_all_marks_for_not_known_share_the_code_of_nothing() -> None:
    """Whether they were seen or not, in any case and with blanks if they were seen so."""
    codes = coded(["", "N/A", " n/a", "red", "-"], ["", "-", "n/a", "N/A", " n/a", "?"], missing=("-", "n/a", "?"))
    assert len(set(codes)) == 1
    assert codes[0] not in coded(["", "N/A", "red", "-"], ["red", "blue"], missing=("-", "n/a", "?"))


@given(st.lists(st.text("aAbB -\u00e9\u00c9", max_size=4), min_size=1, max_size=12))
def test_two_seen_texts_share_a_code_when_their_canonical_forms_are_equal(seen: list[str]) -> None:
    """And never else; no seen text has the code of an unseen one."""
    marks = ("-",)
    codes = coded(seen, seen, marks)
    canonical = [fold(text, frozenset(marks)) for text in seen]
    assert all(code > 0 for code in codes)
    for one, its_code in zip(canonical, codes, strict=True):
        for other, other_code in zip(canonical, codes, strict=True):
            assert (its_code == other_code) == (one == other)


def test_the_order_of_rows_does_not_matter_to_the_codes() -> None:
    """The same texts have the same codes on another day."""
    texts = ["Kia", "", "ford", "BMW", "Ford"]
    assert coded(texts, texts) == coded(texts[::-1], texts)
