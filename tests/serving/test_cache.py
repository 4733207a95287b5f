"""serving/cache.py"""

import asyncio
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import cache as cache_module
from serving.batch import Batch
from serving.cache import CachedRunner, pack, row_keys, unpack
from serving.cache_stores import MemoryStore
from tests.serving import tiny

FLOATS = st.floats(allow_nan=False)


def batch(*rows):
    return Batch.of(tiny.SCHEMA.arrays(rows), len(rows))


def prices(runner, release, *rows):
    return asyncio.run(runner.run(release, batch(*rows)))[:, 0].tolist()


class Counted:
    """A session that counts the rows it answered."""

    def __init__(self, session):
        self.session, self.rows = session, 0

    def run(self, names, arrays):
        self.rows += len(next(iter(arrays.values())))
        return self.session.run(names, arrays)


@pytest.fixture
def counted(loaded):
    import dataclasses

    return dataclasses.replace(loaded, session=Counted(loaded.session))


class Broken:
    """A store of which every use ends in the same way."""

    def __init__(self, ending):
        self.ending, self.asked = ending, 0

    async def read(self, keys):
        self.asked += 1
        return await self.ending(keys)

    async def write(self, entries):
        await self.ending(entries)


def test_a_row_that_was_answered_is_not_run_again(counted):
    """Of three rows two are known: one is run, and all come at their places."""
    runner = CachedRunner(9, MemoryStore(100))
    a, b, c = ({**tiny.ROW, "guide": guide} for guide in (1, 2, 3))
    first = prices(runner, counted, a, c)
    assert counted.session.rows == 2
    assert prices(runner, counted, a, b, c) == [first[0], tiny.expected(1, b)["price"], first[1]]
    assert counted.session.rows == 3
    assert prices(runner, counted, a, b, c)[1] == tiny.expected(1, b)["price"]
    assert counted.session.rows == 3


def test_another_release_never_gets_the_answers_of_the_first(root, loaded):
    """The digest is in the key; nothing is flushed."""
    from serving.loader import load

    made = tiny.bundle(2)
    second = load(tiny.MODEL, tiny.release_of(2, made), made.files)
    runner = CachedRunner(9, MemoryStore(100))
    assert prices(runner, loaded, tiny.ROW) == [tiny.expected(1, tiny.ROW)["price"]]
    assert prices(runner, second, tiny.ROW) == [tiny.expected(2, tiny.ROW)["price"]]
    assert prices(runner, loaded, tiny.ROW) == [tiny.expected(1, tiny.ROW)["price"]]


@given(a=st.tuples(FLOATS, st.text()), b=st.tuples(FLOATS, st.text()))
def test_only_equal_rows_have_equal_keys(a, b):
    """Two rows share an entry exactly when the model cannot tell them apart."""
    keys = [row_keys("d" * 64, Batch([[number], [text]], 1)) for number, text in (a, b)]
    same = a[1] == b[1] and np.float64(a[0]).tobytes() == np.float64(b[0]).tobytes()
    assert (keys[0] == keys[1]) == same


@given(answer=st.lists(st.floats(), min_size=3, max_size=3), damage=st.integers(0, 31), by=st.integers(1, 255))
def test_an_entry_is_taken_only_whole_and_for_its_own_row(answer, damage, by):
    """One changed byte, another length or another row's entry count as not there."""
    entry = pack(b"k1", answer)
    whole = unpack(b"k1", entry, 3)
    assert all(x == y or (math.isnan(x) and math.isnan(y)) for x, y in zip(whole, answer, strict=True))
    changed = bytearray(entry)
    changed[damage] ^= by
    for bad in (bytes(changed), entry[:-1], entry + b"x", b"", b"garbage", None, "text"):
        assert unpack(b"k1", bad, 3) is None
    assert unpack(b"k2", entry, 3) is None
    assert unpack(b"k1", entry, 2) is None


async def away(_):
    raise ConnectionError


async def garbage(keys):
    return [b"\0" * 32 for _ in keys]


async def hanging(_):
    await asyncio.sleep(60)


@pytest.mark.parametrize("ending", [away, garbage, hanging])
def test_a_cache_that_fails_never_makes_an_answer_wrong(counted, ending, monkeypatch):
    """Away, full of garbage or hanging: the model answers; a store that fails is left alone for a while."""
    monkeypatch.setattr(cache_module, "WAIT_SECONDS", 0.01)
    store = Broken(ending)
    runner = CachedRunner(9, store)
    for _ in range(3):
        assert prices(runner, counted, tiny.ROW) == [tiny.expected(1, tiny.ROW)["price"]]
    assert counted.session.rows == 3
    assert store.asked == (3 if ending is garbage else 1)
