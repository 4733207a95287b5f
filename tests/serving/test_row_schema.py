"""serving/row_schema.py"""

from pipeline.contract.schema import Column, Schema
from serving.row_schema import example_row, row_schema
from tests.serving import tiny


def test_a_column_is_described_with_unit_range_and_example():
    """Numeric columns have their bounds, and null unless required."""
    found = row_schema(tiny.SCHEMA)
    assert found["properties"]["miles"] == {
        "type": ["number", "null"],
        "description": "distance driven: between -1 and 1000000 miles",
        "minimum": -1,
        "maximum": 1_000_000,
        "x-unit": "miles",
        "examples": [48_000],
    }
    assert found["properties"]["make"]["type"] == ["string", "null"]
    assert found["properties"]["guide"]["type"] == "number"
    assert (found["required"], found["additionalProperties"]) == (["guide"], False)


def test_the_example_is_a_row_that_is_answered(loaded):
    """The example from the schema goes through the model."""
    assert loaded.predict([example_row(tiny.SCHEMA)])


def test_a_column_without_anything_is_still_described():
    """Nothing but name and kind is needed."""
    found = row_schema(Schema((Column("x", "numeric"),), "USD"))
    assert found["properties"] == {"x": {"type": ["number", "null"], "description": "x: any finite number"}}
    assert found["examples"] == [{}]
