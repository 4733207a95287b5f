"""Tables of groups, held against a dict."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.group_table import GroupTable

Key = tuple[float | None, ...]
VALUES = st.one_of(st.integers(0, 4).map(float), st.just(float("nan")))
ASKED = st.one_of(st.integers(-2, 7).map(float), st.just(float("nan")))


@given(
    st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=25),
    st.lists(st.tuples(ASKED, ASKED, ASKED), max_size=25),
)
def test_a_group_table_is_a_dict(seen: list[tuple[float, ...]], asked: list[tuple[float, ...]]) -> None:
    """Rows of one group have the same number, others another; a group that was not seen has 0.

    A value beyond those seen counts as not known.
    """
    known = np.array(seen)
    most = [max((v for v in column if not np.isnan(v)), default=-1) for column in known.T]

    def key(row: Iterable[float]) -> Key:
        return tuple(v if 0 <= v <= top else None for v, top in zip(row, most, strict=True))

    groups = {key(row) for row in seen}
    table = GroupTable(known)
    named = dict(zip(map(key, seen), table.rows(known).tolist(), strict=True))
    assert sorted(named.values()) == list(range(1, len(groups) + 1))
    table.table_ = np.arange(len(table.keys_) + 1.0).reshape(-1, 1)
    wanted = [named.get(key(row), 0) for row in asked]
    assert table.look_up(np.array(asked).reshape(-1, 3))[:, 0].tolist() == wanted
