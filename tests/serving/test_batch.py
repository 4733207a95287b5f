"""serving/batch.py"""

import numpy as np

from serving.batch import Batch, gathered
from tests.serving import tiny

SCHEMA = tiny.SCHEMA
ROWS = [tiny.ROW, {"guide": 5}, {"guide": 6, "make": "é", "year": 1999}]


def plain(rows):
    """As the fast decoder gives them: sequences of plain values."""
    return Batch(
        [tuple(row.get(c.name, float("nan") if c.kind == "numeric" else "") for row in rows) for c in SCHEMA.inputs],
        len(rows),
    )


def checked(rows):
    """As the schema gives them: arrays."""
    return Batch.of(SCHEMA.arrays(rows), len(rows))


def same(one, other):
    arrays, others = one.arrays(SCHEMA), other.arrays(SCHEMA)
    return list(arrays) == list(others) and all(
        arrays[name].dtype == others[name].dtype
        and arrays[name].shape == others[name].shape
        and np.array_equal(arrays[name], others[name], equal_nan=arrays[name].dtype == np.float64)
        for name in arrays
    )


def test_both_forms_give_the_session_the_same_arrays():
    """Plain values and checked arrays: float64 or object, one column each, in the schema's order."""
    assert same(plain(ROWS), checked(ROWS))
    assert plain(ROWS).arrays(SCHEMA)["guide"].shape == (3, 1)
    assert plain(ROWS).arrays(SCHEMA)["make"].tolist() == [["Ford"], [""], ["é"]]


def test_gathered_batches_are_one_after_the_other():
    """Whatever form each has; one by itself is not copied."""
    parts = [plain(ROWS[:1]), checked(ROWS[1:2]), plain(ROWS[2:]), checked(ROWS)]
    whole = gathered(parts)
    assert whole.count == 6
    assert same(whole, checked(ROWS + ROWS))
    assert gathered(parts[:1]) is parts[0]


def test_a_batch_of_nothing_known_is_a_batch():
    """NaN and empty texts arrive as they are."""
    arrays = plain([{}]).arrays(SCHEMA)
    assert np.isnan(arrays["guide"]).all()
    assert arrays["make"].tolist() == [[""]]
