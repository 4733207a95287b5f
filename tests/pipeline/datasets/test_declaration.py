"""A declaration: what is derived from it, and that a wrong one is found when it is read."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pipeline import datasets
from pipeline.datasets.declaration import RESERVED, Categorical, Dataset, Numeric, SaleDate, Slice
from pipeline.group_effects import EFFECTS

BIKES: dict[str, Any] = {
    "name": "bikes",
    "model_name": "bike_price",
    "title": "Bicycles",
    "date": SaleDate("sold_on"),
    "target": Numeric("paid", "EUR", "the price paid", 5, 20_000, 350),
    "columns": (
        Numeric("frame", "cm", "frame size", 30, 70, 56, missing=(99,)),
        Categorical("brand", "maker", "Gazelle", missing=("?",)),
        Numeric("guide", "EUR", "guide price", 1, 20_000, 400),
    ),
    "reference": ("brand",),
    "groups": (("brand",), ("brand", "frame")),
    "peers": ((("brand",),),),
    "baseline": "guide",
    "ignored": ("number",),
    "slices": (Slice("brand", "brand"), Slice("price", "paid", edges=(100, 500))),
}


def bikes(**changes: Any) -> Dataset:
    return Dataset(**BIKES | changes)


def test_a_delivery_must_have_every_declared_column() -> None:
    """Features, target, date and the columns that are delivered and not used."""
    assert bikes().raw_columns == ("frame", "brand", "guide", "paid", "sold_on", "number")


def test_a_model_without_the_baseline_does_not_take_its_column() -> None:
    """All others keep their order."""
    assert [column.name for column in bikes().features(with_baseline=True)] == ["frame", "brand", "guide"]
    assert [column.name for column in bikes().features(with_baseline=False)] == ["frame", "brand"]
    assert [column.name for column in bikes().numeric()] == ["frame", "guide"]
    assert [column.name for column in bikes().categorical()] == ["brand"]


def test_the_serving_schema_says_what_the_declaration_says() -> None:
    """Kind, unit, range, example; only the baseline must be given."""
    schema = bikes().schema(with_baseline=True)
    assert schema.output_unit == "EUR"
    frame, brand, guide = schema.inputs
    assert (frame.kind, frame.unit, frame.minimum, frame.maximum, frame.required) == ("numeric", "cm", 30, 70, False)
    assert (brand.kind, brand.example, brand.minimum, brand.required) == ("categorical", "Gazelle", None, False)
    assert guide.required
    assert [column.name for column in bikes().schema(with_baseline=False).inputs] == ["frame", "brand"]


@pytest.mark.parametrize("name", datasets.names())
def test_the_examples_of_a_dataset_are_a_valid_request(name: str) -> None:
    """What the documentation shows can be sent."""
    dataset = datasets.load(name)
    schema = dataset.schema(with_baseline=True)
    arrays = schema.arrays([{column.name: column.example for column in schema.inputs}])
    assert list(arrays) == [column.name for column in dataset.columns]
    assert dataset.target.minimum <= dataset.target.example <= dataset.target.maximum


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a name with a blank": ({"ignored": ("frame size",)}, "'frame size' must be a plain word"),
    "a name that begins with a digit": ({"ignored": ("2nd",)}, "'2nd' must be a plain word"),
    "a name that predictions use": ({"ignored": ("low",)}, "'low' has a name that predictions use"),
    "the same name twice": ({"ignored": ("brand",)}, "'brand' is declared twice"),
    "a group of an unknown column": ({"groups": (("colour",),)}, "'colour' is used but is not one of the columns"),
    "peers by an unknown column": ({"peers": ((("brand", "age"),),)}, "'age' is used but"),
    "peers that do not go from coarse to fine": ({"peers": ((("brand", "frame"), ("brand",)),)}, "does not narrow"),
    "peers that are not within each other": ({"peers": ((("brand",), ("frame",)),)}, "does not narrow"),
    "a reference by an unknown column": ({"reference": ("paid",)}, "'paid' is used but"),
    "an unknown baseline": ({"baseline": "estimate"}, "'estimate' is used but"),
    "the baseline in a group": ({"groups": (("brand", "guide"),)}, "baseline 'guide' cannot be in a group"),
    "a baseline that is text": ({"baseline": "brand", "groups": (), "peers": (), "reference": ("frame",)}, "numeric"),
    "a slice of an unknown column": ({"slices": (Slice("colour", "colour"),)}, "'colour' is used but"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_declaration_is_found_and_named(what: str) -> None:
    """It raises when the file is read, with the dataset and the column in the message."""
    changes, message = WRONG[what]
    with pytest.raises(ValueError, match=message) as found:
        bikes(**changes)
    assert str(found.value).startswith("bikes: ")


def test_the_name_of_the_effects_cannot_be_a_columns_name() -> None:
    """The price model finds them by their name."""
    assert EFFECTS in RESERVED


def test_a_declaration_cannot_be_changed() -> None:
    """It is one for the whole process."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        bikes().name = "cars"  # type: ignore[misc]
