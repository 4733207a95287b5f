"""serving/notes.py"""

import dataclasses

import pytest

from pipeline.contract.schema import Column, Schema
from serving.batch import Batch
from serving.notes import MAX_NOTES, Observer

TEXT = Column("make", "categorical", known=("Ford", "Kia"))
NUMBER = Column("miles", "numeric", usual_minimum=0, usual_maximum=10, unit="miles")
NAN = float("nan")


def notes(column, values, *, checked):
    """Of one column, given as plain values or as a checked array."""
    schema = Schema((column,), "USD")
    if not checked:
        return Observer(schema).notes(Batch([values], len(values)))
    known = [value if value not in ("", NAN) else None for value in values]
    return Observer(schema).notes(Batch.of(schema.arrays([{column.name: value} for value in known]), len(values)))


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("repeated", [1, 20])
def test_unknown_texts_are_noted(checked, repeated):
    """Not those that are known, nor a text that is not given; equal up to the last letter's case."""
    found = notes(TEXT, ["Ford", "kia", "", "Kai", "Kia"] * repeated, checked=checked)
    assert [note.row for note in found] == [row for row in range(5 * repeated) if row % 5 in (1, 3)]
    assert {(note.column, note.code) for note in found} == {("make", "unknown_text")}


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("repeated", [1, 20])
def test_unusual_numbers_are_noted(checked, repeated):
    """The bounds are usual, and so is a number that is not known."""
    found = notes(NUMBER, [0.0, 10.0, -0.5, 10.5, NAN] * repeated, checked=checked)
    assert [note.row for note in found] == [row for row in range(5 * repeated) if row % 5 in (2, 3)]
    assert {note.message for note in found} == {"the model has learned from 0 to 10 miles"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"usual_minimum": None}, "the model has learned from numbers up to 10 miles"),
        ({"usual_maximum": None}, "the model has learned from numbers from 0 miles"),
    ],
)
def test_one_bound_is_enough(changes, message):
    """The other side is open."""
    found = notes(dataclasses.replace(NUMBER, **changes), [-1.0, 11.0], checked=False)
    assert [note.message for note in found] == [message]


def test_without_knowledge_there_is_nothing_to_note():
    """An older release that does not say what it has learned from."""
    assert notes(Column("make", "categorical"), ["x"], checked=False) == []
    assert notes(Column("miles", "numeric"), [1e300], checked=False) == []


def test_there_are_at_most_a_hundred():
    """However many rows are odd."""
    assert len(notes(TEXT, ["x"] * 5_000, checked=False)) == MAX_NOTES
