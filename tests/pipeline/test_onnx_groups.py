"""Group look-ups as ONNX nodes, against the Python they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ModelRefused
from pipeline.group_table import GroupTable
from pipeline.onnx_groups import Wanted, look_up
from tests.pipeline.onnx_parts import answer

WHOLE = st.integers(-3, 6).map(float)
VALUES = WHOLE | st.sampled_from([np.nan, np.inf, -np.inf, -0.5, -1.5, 2.5, 3.5, 1e18, -1e18, 2.0**53])


@st.composite
def looked_up(draw):
    """Tables learned on some rows, and other rows to look up in them."""
    columns = draw(st.integers(1, 4))
    learned = np.array(draw(st.lists(st.tuples(*[st.integers(-1, 3)] * columns), min_size=1, max_size=12)), float)
    groups = draw(
        st.lists(st.lists(st.integers(0, columns - 1), min_size=1, max_size=3).map(tuple), min_size=1, max_size=4)
    )
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    tables = [GroupTable(learned[:, list(group)]) for group in groups]
    cut = draw(st.integers(1, len(groups)))
    widths = [1] * cut + [draw(st.integers(1, 3))] * (len(groups) - cut)
    for table, width in zip(tables, widths, strict=True):
        table.table_ = random.normal(size=(len(table.keys_) + 1, width))
        table.table_[random.integers(len(table.table_))] = np.nan
    rows = np.array(draw(st.lists(st.tuples(*[VALUES] * columns), min_size=1, max_size=12)))
    wanted = [Wanted(groups[:cut], tables[:cut]), Wanted(groups[cut:], tables[cut:])]
    return [one for one in wanted if one.groups], np.concatenate([learned, rows])


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")  # numpy of infinity, which is what is tested
@settings(max_examples=150, deadline=None)
@given(looked_up())
def test_groups_are_found_as_in_python(case):
    """Seen, unseen, missing, broken and infinite values find the same table row, for any number of groups and widths of tables at once."""
    wanted, rows = case
    pairs = [pair for one in wanted for pair in zip(one.groups, one.tables, strict=True)]
    expected = np.hstack([table.look_up(rows[:, list(group)]) for group, table in pairs])

    def write(graph):
        return graph.concat(look_up(graph, "X", wanted), "found")

    np.testing.assert_array_equal(answer(write, {"X": rows}), expected)


def test_more_groups_than_can_be_counted_are_refused():
    """Numbers that would overflow are refused instead of finding a wrong group."""
    table = GroupTable(np.zeros((1, 4)))
    table.sizes_ = [100_000] * 4
    with pytest.raises(ModelRefused, match="cross fewer columns"):
        answer(lambda graph: look_up(graph, "X", [Wanted([(0, 1, 2, 3)], [table])])[0], {"X": np.zeros((1, 4))})


def test_a_code_beyond_the_last_is_not_taken_for_another_group():
    """A value one too large counts as not known; it does not run over into the next value of the column before."""
    table = GroupTable(np.array([[0.0, 0.0], [1.0, -1.0]]))
    table.table_ = np.array([[0.5], [1.5], [2.5]])
    rows = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, -1.0], [0.0, np.nan]])
    expected = table.look_up(rows)[:, 0]
    assert expected.tolist() == [0.5, 2.5, 2.5, 0.5]
    np.testing.assert_array_equal(
        answer(lambda graph: look_up(graph, "X", [Wanted([(0, 1)], [table])])[0], {"X": rows})[:, 0], expected
    )
