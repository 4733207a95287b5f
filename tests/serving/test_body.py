"""serving/body.py"""

import asyncio
import json

import pytest
from starlette.requests import ClientDisconnect

from pipeline.contract.schema import RowsInvalid
from serving.body import read_body, read_wanted, strict_json
from serving.errors import RequestRefused


def read(*parts, declared=None, limit=10):
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1:] = [{**message, "more_body": False} for message in messages[-1:]]
    waiting = iter([*messages, {"type": "http.disconnect"}])

    async def receive():
        return next(waiting)

    return asyncio.run(read_body(receive, declared, limit))


def test_a_body_comes_in_parts():
    """The parts are put together, up to the limit."""
    assert read(b"12345", b"", b"67890") == b"1234567890"


@pytest.mark.parametrize("declared", [b"11", b"9" * 5_000, b"-1", b"x", "²".encode("latin-1")])
def test_a_declared_length_above_the_limit_is_refused_unread(declared):
    """Not one chunk is taken."""
    with pytest.raises(RequestRefused) as caught:
        read(declared=declared)
    assert caught.value.code == "body_too_large"


def test_the_limit_is_kept_while_reading():
    """A body that is longer than it says, or says nothing, is refused too."""
    with pytest.raises(RequestRefused) as caught:
        read(b"123456", b"123456", declared=b"3")
    assert caught.value.code == "body_too_large"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 2}',
        b'[{"a": {"b": 1, "b": 1}}]',
        b"\xff\xfe",
        "{}".encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b"[" * 50_000,
        b'{"a":' * 50_000,
        b"1" * 5_000,
        b'"\n"',
        b"{} {}",
        b"{'a': 1}",
        b'{"a": 01}',
    ],
)
def test_what_is_not_strict_json_is_refused(body):
    """Refused with the code not_json, and without a word of the body in the message."""
    with pytest.raises(RequestRefused) as caught:
        strict_json(body)
    assert caught.value.code == "not_json"
    assert "nonsense" not in str(caught.value)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ([], "wrong_shape"),
        ("rows", "wrong_shape"),
        (None, "wrong_shape"),
        ({}, "wrong_shape"),
        ({"rows": 1}, "wrong_shape"),
        ({"columns": []}, "wrong_shape"),
        ({"columns": {"a": 1}}, "wrong_shape"),
        ({"columns": {"a": [1], "b": []}}, "wrong_shape"),
        ({"columns": {}, "rows": []}, "wrong_shape"),
        ({"rows": [{}], "partial": 1}, "wrong_shape"),
        ({"columns": {}}, "no_rows"),
        ({"columns": {"a": []}}, "no_rows"),
        ({"columns": {"a": [1] * 4}}, "too_many_rows"),
        ({"rows": [{}], "more": 1}, "wrong_shape"),
        ({"rows": []}, "no_rows"),
        ({"rows": [{}] * 4}, "too_many_rows"),
    ],
)
def test_another_shape_is_refused(document, code):
    """The body is an object with rows or columns, perhaps partial, and nothing else."""
    with pytest.raises(RequestRefused) as caught:
        read_wanted(json.dumps(document).encode(), 3)
    assert caught.value.code == code


def test_rows_that_are_no_objects_are_named():
    """Each wrong row is an error of its own."""
    with pytest.raises(RowsInvalid) as caught:
        read_wanted(b'{"rows": [1, {}, null]}', 3)
    assert [(error.row, error.code) for error in caught.value.errors] == [(0, "not_an_object"), (2, "not_an_object")]


def test_rows_come_out_as_they_were():
    """Values are not touched here."""
    assert read_wanted('{"rows": [{"a": "é", "b": null}]}'.encode(), 3).rows == [{"a": "é", "b": None}]
    assert read_wanted(b'{"columns": {"a": [1, null]}}', 3).columns == {"a": [1, None]}


def test_one_row_may_come_by_itself():
    """An object in the place of the list is a list of one."""
    assert read_wanted(b'{"rows": {"a": 1}}', 3).rows == [{"a": 1}]


def test_a_client_that_goes_away_is_noticed():
    """Half a body is nobody's request."""
    with pytest.raises(ClientDisconnect):
        read()


def test_more_values_than_rows_can_have_are_refused_unparsed():
    """A body full of lists would hold the whole process; what stands in texts does not count."""
    for body in (b"[" + b"[]," * 100_000, b'{"rows": [' + b"1," * 100_000):
        with pytest.raises(RequestRefused) as caught:
            strict_json(body, 10_000)
        assert caught.value.code == "too_many_rows"
    assert strict_json(json.dumps({"a": '[,{"' * 100_000}).encode(), 10) == {"a": '[,{"' * 100_000}
    assert len(strict_json(json.dumps([[1]] * 100_000).encode(), 200_000)) == 100_000


def test_nan_is_null_where_that_is_asked_for():
    """And nothing but NaN."""
    assert strict_json(b'{"a": NaN}', nan_is_null=True) == {"a": None}
    with pytest.raises(RequestRefused):
        strict_json(b'{"a": -Infinity}', nan_is_null=True)
