"""serving/row_decoder.py"""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contract.schema import MAX_TEXT, RowsInvalid
from serving.batch import Batch
from serving.body import read_wanted
from serving.errors import RequestRefused
from serving.row_decoder import RowDecoder
from tests.serving import tiny

DECODER = RowDecoder(tiny.SCHEMA)


def slowly(body: bytes) -> dict | None:
    """The arrays that the careful way makes of a body; None when it refuses it."""
    try:
        return tiny.SCHEMA.arrays(read_wanted(body, 3).rows)
    except (RequestRefused, RowsInvalid):
        return None


def same(batch: Batch, arrays: dict) -> bool:
    made = batch.arrays(tiny.SCHEMA)
    equal = [np.array_equal(made[n], arrays[n], equal_nan=made[n].dtype.kind == "f") for n in arrays]
    kinds = [made[n].dtype == arrays[n].dtype for n in arrays]
    return list(made) == list(arrays) and all(equal) and all(kinds)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.floats(1900, 2100),
    st.text(max_size=5),
    st.text(min_size=MAX_TEXT - 1, max_size=MAX_TEXT + 1),
    st.lists(st.integers(), max_size=2),
)
GOOD_ROWS = st.fixed_dictionaries(
    {"guide": st.floats(1, 1_000_000) | st.integers(1, 1_000_000)},
    optional={"year": st.none() | st.integers(1900, 2100), "make": st.none() | st.text(max_size=9)},
)
ODD_ROWS = st.dictionaries(st.sampled_from(["year", "miles", "make", "guide", "other"]), VALUES, max_size=5)
BODIES = st.fixed_dictionaries(
    {"rows": st.lists(GOOD_ROWS | ODD_ROWS, max_size=4)}, optional={"partial": st.booleans()}
) | st.dictionaries(st.sampled_from(["rows", "x"]), VALUES, max_size=2)


@settings(max_examples=400, deadline=None)
@given(document=BODIES, ascii_only=st.booleans())
def test_the_fast_way_takes_only_what_the_careful_way_takes_with_the_same_outcome(document, ascii_only):
    """Whatever JSON comes: either the fast way leaves it, or both make the same columns of it."""
    body = json.dumps(document, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    fast = DECODER.decode(body, 3)
    if fast is not None:
        assert same(fast, slowly(body))


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_the_same_holds_for_damaged_bodies(data):
    """A body with some bytes changed, doubled or cut is never taken for something it is not."""
    body = bytearray(json.dumps({"rows": data.draw(st.lists(GOOD_ROWS, min_size=1, max_size=2))}).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b'"', b"{", b"}", b",", b":", b"1", b"e9", b"-", b"\\", b"\0", b"\xff", b"NaN", b" "])
        )
    fast = DECODER.decode(bytes(body), 3)
    if fast is not None:
        assert same(fast, slowly(bytes(body)))


@pytest.mark.parametrize(
    "body",
    [
        b'{"rows": [{"guide": 1}]}',
        b'{"rows":[{"guide":1,"make":"Ford","year":null,"miles":-0.0},{"guide":1e3}]}',
        '{"rows":[{"guide":1,"make":"Citroën 漢字 🚗"}]}'.encode(),
    ],
)
def test_good_bodies_go_the_fast_way(body):
    """Numbers, texts, null and columns left out."""
    assert same(DECODER.decode(body, 3), slowly(body))


@pytest.mark.parametrize(
    "body",
    [
        b'{"rows": [{"guide": 1, "guide": 2}]}',
        b'{"rows": [{"guide": 1, "make": "a", "make": "b"}]}',
        b'{"rows": [{"guide": 1}], "rows": [{"guide": 2}]}',
        b'{"rows": [{"guide": true}]}',
        b'{"rows": [{"guide": "1"}]}',
        b'{"rows": [{"guide": 0.5}]}',
        b'{"rows": [{"guide": 1e400}]}',
        b'{"rows": [{"guide": ' + b"1" * 400 + b"}]}",
        b'{"rows": [{"guide": NaN}]}',
        b'{"rows": [{}]}',
        b'{"rows": []}',
        b'{"rows": [{"guide": 1}, {"guide": 1}, {"guide": 1}, {"guide": 1}]}',
        b'{"rows": [{"guide": 1, "make": "a\0"}]}',
        b'{"rows": [{"guide": 1, "make": "\xff"}]}',
        b'{"rows": [{"guide": 1, "make": "\xed\xa0\x80"}]}',
        b'{"rows": [{"guide": 1}]} x',
        b'\xef\xbb\xbf{"rows": [{"guide": 1}]}',
    ],
)
def test_everything_else_is_left_to_the_careful_way(body):
    """Also a name that comes twice, which JSON decoders commonly let through."""
    assert DECODER.decode(body, 3) is None
