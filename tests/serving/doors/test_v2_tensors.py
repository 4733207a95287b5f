"""serving/doors/v2_tensors.py"""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import serialize_byte_tensor, triton_to_np_dtype

from pipeline.contract.schema import RowsInvalid
from serving.doors.v2_tensors import NUMBERS, Tensor, read_numbers, read_tensors, read_texts
from serving.errors import RequestRefused
from tests.serving import tiny


def encoded(texts):
    return serialize_byte_tensor(np.array(texts, object)).item() if texts else b""


@given(st.lists(st.text()))
def test_texts_come_back_as_the_client_wrote_them(texts):
    """Of any length and any characters, NUL among them; tritonclient writes."""
    assert read_texts(encoded(texts), len(texts)) == texts


@given(st.lists(st.text()), st.integers(-2, 2))
def test_texts_of_another_number_are_refused(texts, more):
    """There must be exactly as many as rows."""
    count = max(0, len(texts) + more)
    if count != len(texts):
        with pytest.raises(RequestRefused):
            read_texts(encoded(texts), count)


@given(st.binary(max_size=64), st.integers(0, 8))
def test_no_bytes_make_reading_texts_fail_otherwise(data, count):
    """Either texts, as many as asked for, or a refusal."""
    with suppress(RequestRefused):
        assert len(read_texts(data, count)) == count


@given(st.sampled_from(sorted(NUMBERS)), st.data())
def test_numbers_come_back_as_the_client_wrote_them(datatype, data):
    """Every number that a double can hold; NaN stays NaN."""
    dtype = np.dtype(triton_to_np_dtype(datatype))
    kind = (
        st.floats(width=8 * dtype.itemsize)
        if dtype.kind == "f"
        else st.integers(np.iinfo(dtype).min, np.iinfo(dtype).max)
    )
    array = np.array(data.draw(st.lists(kind)), dtype)
    found = read_numbers(array.tobytes(), datatype, array.size)
    assert np.array_equal(found, array.astype(np.float64), equal_nan=True)


@given(st.binary(max_size=40), st.integers(0, 6), st.sampled_from(sorted(NUMBERS)))
def test_no_bytes_make_reading_numbers_fail_otherwise(data, count, datatype):
    """Either numbers, as many as asked for, or a refusal."""
    with suppress(RequestRefused):
        assert len(read_numbers(data, datatype, count)) == count


def test_a_text_that_is_not_utf8_is_an_error_of_its_row():
    """The rows beside it are not to blame."""
    tensors = [
        Tensor("guide", "FP64", [3], [1.0, 2.0, 3.0]),
        Tensor("make", "BYTES", [3], encoded([b"Ford", b"\xff\xfe", "Škoda".encode()])),
    ]
    with pytest.raises(RowsInvalid) as refused:
        read_tensors(tiny.SCHEMA, tensors, 10)
    assert [(e.row, e.column, e.code) for e in refused.value.errors] == [(1, "make", "not_text")]
