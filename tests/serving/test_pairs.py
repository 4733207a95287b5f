"""serving/pairs.py"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract.schema import Column, Schema
from serving.batch import Batch
from serving.pairs import Pairs

SCHEMA = Schema((Column("id", "numeric"), Column("make", "categorical")), "USD")


def add(pairs, ids, apart):
    """Rows of these ids, to which the answers differ by ``apart``."""
    champion = np.array([[float(each), 0] for each in ids])
    pairs.add(Batch([[float(each) for each in ids], [""] * len(ids)], len(ids)), champion, champion + [[x, 0] for x in apart])  # fmt: skip


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8), max_size=20))
def test_the_worst_are_the_worst_of_all(batches):
    """In whatever requests they came, worst first; and the sample is of rows that were there."""
    pairs, all_apart = Pairs(SCHEMA, ("price", "low"), sample=5, worst=3), []
    for batch in batches:
        add(pairs, range(len(all_apart), len(all_apart) + len(batch)), batch)
        all_apart += batch
    rows, sample, worst = pairs.kept()
    assert rows == len(all_apart)
    found = [abs(each.shadow["price"] - each.champion["price"]) for each in worst]
    assert np.allclose(found, sorted((abs(x) for x in all_apart), reverse=True)[:3], rtol=1e-6, atol=1e-6)
    ids = [each.row["id"] for each in sample]
    assert len(set(ids)) == len(ids) == min(5, rows)
    assert set(ids) <= set(range(rows))


def test_every_row_has_the_same_chance():
    """The first and the last, in small requests and large ones."""
    chosen = np.zeros(300)
    for _ in range(400):
        pairs = Pairs(SCHEMA, ("price", "low"), sample=30, worst=1)
        for start, end in ((0, 1), (1, 20), (20, 100), (100, 101), (101, 300)):
            add(pairs, range(start, end), [0.0] * (end - start))
        chosen[[int(each.row["id"]) for each in pairs.kept()[1]]] += 1
    assert chosen.sum() == 400 * 30
    for part in np.split(chosen, 10):
        assert 0.85 < part.mean() / 40 < 1.15


def test_a_pair_is_the_row_with_both_answers():
    """By name; what is not known is null."""
    pairs = Pairs(SCHEMA, ("price", "low"))
    table = np.array([[1.0, 2.0], [3.0, 4.0]])
    pairs.add(Batch([[np.nan, 5.0], ["Ford", ""]], 2), table, table + 1)
    _, sample, _ = pairs.kept()
    assert [each.row for each in sample] == [{"id": None, "make": "Ford"}, {"id": 5.0, "make": None}]
    assert (sample[1].champion, sample[1].shadow) == ({"price": 3, "low": 4}, {"price": 4, "low": 5})
