"""serving/doors/predict.py"""

import dataclasses
import json
import threading

import pytest

from pipeline.contract.schema import Schema
from serving.responses import PROBLEMS
from tests.serving import tiny
from tests.serving.process import wait_for

GOOD = {"rows": [tiny.ROW]}


def predict(client, **body):
    return client.post("/v1/predict", json=body)


def row(**changes):
    return json.dumps({"rows": [{**tiny.ROW, **changes}]}).encode()


def test_a_row_gets_its_price_and_who_said_so(client):
    """The answer has predictions, model, version, digest and unit, and the headers say the same."""
    response = client.post("/v1/predict", json=GOOD)
    digest = tiny.bundle(1).digest
    assert response.json() == {
        "predictions": [tiny.expected(1, tiny.ROW)],
        "model": "car_price",
        "version": 1,
        "digest": digest,
        "unit": "USD",
    }
    assert (response.headers["x-model-version"], response.headers["x-model-digest"]) == ("1", digest)


@pytest.mark.parametrize("count", [1, 64, 65, 1_000])
def test_answers_keep_the_order_of_the_rows(client, count):
    """On the event loop and off it, the n-th answer is the n-th row's."""
    rows = [{"guide": 100 + i} for i in range(count)]
    found = client.post("/v1/predict", json={"rows": rows}).json()["predictions"]
    assert found == [tiny.expected(1, row) for row in rows]


class Watched:
    """A session that notes in which thread it ran."""

    def __init__(self, session):
        self.session, self.threads = session, []

    def run(self, names, arrays):
        self.threads.append(threading.current_thread().name)
        return self.session.run(names, arrays)


def test_more_than_64_rows_do_not_hold_the_event_loop(client):
    """Small requests are answered where they arrive; many rows in a thread of their own."""
    slot = client.app.state.service.slot
    client.app.state.service.reconciler.stop()
    watched = Watched(slot.live.session)
    slot.swap(dataclasses.replace(slot.live, session=watched))
    for count in (1, 64, 65):
        assert client.post("/v1/predict", json={"rows": [tiny.ROW] * count}).status_code == 200
    one, many, more = watched.threads
    assert one == many != more


@pytest.mark.parametrize("value", [None, "never seen", "", "é漢字🚗"])
def test_unknown_and_missing_categories_are_answered(client, value):
    """A text that the model has not seen is no error."""
    assert client.post("/v1/predict", content=row(make=value)).status_code == 200


HOSTILE = {
    "empty": (b"", "not_json"),
    "half": (b'{"rows": [', "not_json"),
    "nan": (b'{"rows": [{"guide": NaN}]}', "not_json"),
    "infinity": (b'{"rows": [{"guide": Infinity}]}', "not_json"),
    "minus infinity": (b'{"rows": [{"guide": -Infinity}]}', "not_json"),
    "1e400": (b'{"rows": [{"guide": 1e400}]}', "rows_invalid"),
    "-1e400": (b'{"rows": [{"guide": -1e400}]}', "rows_invalid"),
    "400 digits": (b'{"rows": [{"guide": ' + b"9" * 400 + b"}]}", "rows_invalid"),
    "5000 digits": (b'{"rows": [{"guide": ' + b"9" * 5_000 + b"}]}", "not_json"),
    "2**63": (row(guide=2**63), "rows_invalid"),
    "bad utf-8": (b'{"rows": [{"make": "\xff"}]}', "not_json"),
    "utf-16": (json.dumps(GOOD).encode("utf-16"), "not_json"),
    "byte order mark": (b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), "not_json"),
    "name twice": (b'{"rows": [{"guide": 1, "guide": 2}]}', "not_json"),
    "rows twice": (b'{"rows": [], "rows": [{"guide": 1}]}', "not_json"),
    "deep lists": (b'{"rows": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "not_json"),
    "deep objects": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "not_json"),
    "100,000 lists": (b'{"rows": [' + b"[]," * 100_000 + b"[]]}", "too_many_rows"),
    "list": (json.dumps([tiny.ROW]).encode(), "wrong_shape"),
    "number": (b"1", "wrong_shape"),
    "null": (b"null", "wrong_shape"),
    "no rows member": (json.dumps(tiny.ROW).encode(), "wrong_shape"),
    "one more member": (json.dumps({**GOOD, "version": 2}).encode(), "wrong_shape"),
    "no rows": (b'{"rows": []}', "no_rows"),
    "row is list": (b'{"rows": [[1]]}', "rows_invalid"),
    "row is null": (b'{"rows": [null]}', "rows_invalid"),
    "text as number": (row(guide="1"), "rows_invalid"),
    "bool as number": (row(guide=True), "rows_invalid"),
    "object as number": (row(guide={"a": 1}), "rows_invalid"),
    "number as text": (row(make=1), "rows_invalid"),
    "list as text": (row(make=["Ford"]), "rows_invalid"),
    "nul": (row(make="a\0b"), "rows_invalid"),
    "half a surrogate pair": (b'{"rows": [{"guide": 1, "make": "\\ud800"}]}', "rows_invalid"),
    "surrogate as name": (b'{"rows": [{"guide": 1, "\\ud800": 1}]}', "rows_invalid"),
    "long text": (row(make="x" * 500_000), "rows_invalid"),
    "long name": (row(**{"x" * 500_000: 1}), "rows_invalid"),
    "60,000 unknown names": (row(**{f"guid{i}": 1 for i in range(60_000)}), "rows_invalid"),
    "above range": (row(year=2101), "rows_invalid"),
    "below range": (row(year=-0.0), "rows_invalid"),
    "required is missing": (b'{"rows": [{}]}', "rows_invalid"),
    "required is null": (row(guide=None), "rows_invalid"),
    "no finite price": (json.dumps({"rows": [tiny.NO_PRICE]}).encode(), "rows_invalid"),
    "1,001 rows": (json.dumps({"rows": [{"guide": 1}] * 1_001}).encode(), "too_many_rows"),
    "above a MiB": (b" " * (1 << 20) + b"1", "body_too_large"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_refused_as_a_problem(client, name):
    """4xx problem+json with the stable code; nothing of what was sent comes back, and the next request is answered."""
    body, code = HOSTILE[name]
    response = client.post("/v1/predict", content=body, headers={"content-type": "application/json"})
    document = response.json()
    assert (response.status_code, document["code"]) == (PROBLEMS[code][0], code)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-model-version"] == "1"
    assert len(response.content) < 30_000
    assert "Traceback" not in response.text
    assert client.post("/v1/predict", json=GOOD).status_code == 200


def test_every_bad_row_is_named_with_column_code_and_message(client):
    """One row's error does not hide another's, and the value is not repeated."""
    rows = [{"guide": 1}, {"guide": 1, "yaer": 7_777_777}, {"guide": 0, "year": 8_888_888}]
    document = client.post("/v1/predict", json={"rows": rows}).json()
    assert [(error["row"], error["column"], error["code"]) for error in document["errors"]] == [
        (1, "yaer", "unknown_column"),
        (2, "year", "out_of_range"),
        (2, "guide", "out_of_range"),
    ]
    assert "did you mean 'year'?" in document["errors"][0]["message"]
    assert document["errors"][2]["message"] == "must be between 1 and 1000000 USD"
    assert "7777777" not in json.dumps(document)
    assert "8888888" not in json.dumps(document)


def test_a_body_without_length_is_capped_too(client):
    """A chunked body is counted while it arrives."""
    response = client.post("/v1/predict", content=iter([b" " * 600_000] * 2))
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "headers", [{"content-type": "text/plain"}, {"content-type": "application/json", "content-encoding": "gzip"}]
)
def test_a_body_of_another_type_is_refused(client, headers):
    """Only plain JSON is read."""
    response = client.post("/v1/predict", content=json.dumps(GOOD), headers=headers)
    assert (response.status_code, response.json()["code"]) == (415, "not_json_type")


def test_a_body_that_does_not_say_its_type_is_read(client):
    """The header may be left out, and may have a charset."""
    assert client.post("/v1/predict", content=json.dumps(GOOD)).status_code == 200
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert client.post("/v1/predict", content=json.dumps(GOOD), headers=headers).status_code == 200


def test_a_row_of_unknown_names_is_spoken_of_shortly(client):
    """Twenty of its names are called unknown; another row's error is not hidden by them."""
    rows = [{f"x{i}": 1 for i in range(5_000)} | {"guide": 1}, {"guide": 0}]
    errors = predict(client, rows=rows).json()["errors"]
    assert [error["row"] for error in errors] == [0] * 20 + [1]


def test_one_row_may_be_an_object(client):
    """Not in a list: it is answered by a list of one."""
    assert predict(client, rows=tiny.ROW).json() == predict(client, rows=[tiny.ROW]).json()


@pytest.mark.parametrize("count", [1, 17, 65, 1_000])
def test_columns_are_answered_like_rows(client, count):
    """A list a column, nulls included, and columns left out: the same answer to the byte."""
    rows = [{"guide": 100 + i, "year": None if i % 3 else 1950 + i % 100, "make": "Ford" if i % 2 else None} for i in range(count)]  # fmt: skip
    columns = {name: [row[name] for row in rows] for name in ("make", "guide", "year")}
    assert predict(client, columns=columns).content == predict(client, rows=rows).content


MIXED = [{"guide": 1}, {"guide": 0}, {"guide": 3, "yaer": 1}, {"guide": 4}, {"guide": None}]


@pytest.mark.parametrize("many", [1, 30])
def test_with_partial_the_good_rows_are_answered_at_their_places(client, many):
    """Null stands where a row is bad, and every bad row is an error; without it all are refused."""
    rows = MIXED * many
    document = predict(client, rows=rows, partial=True).json()
    good = [expected or None for expected in map(price_of, rows)]
    assert document["predictions"] == good
    assert {error["row"] for error in document["errors"]} == {i for i, row in enumerate(good) if row is None}
    assert [error["code"] for error in document["errors"]][:3] == ["out_of_range", "unknown_column", "required"]
    assert predict(client, rows=rows).json()["code"] == "rows_invalid"


def price_of(row):
    return tiny.expected(1, row) if row.get("guide") and "yaer" not in row else None


def test_partial_works_with_columns_too(client):
    """The bad values make their rows null."""
    document = predict(client, columns={"guide": [1, "x", 3], "year": [2000, 2000, 3000]}, partial=True).json()
    assert document["predictions"] == [tiny.expected(1, {"guide": 1, "year": 2000}), None, None]
    assert [(error["row"], error["column"]) for error in document["errors"]] == [(1, "guide"), (2, "year")]


def test_partial_without_one_good_row_is_refused(client):
    """There is nothing to answer then."""
    response = predict(client, rows=[{"guide": 0}, {}], partial=True)
    assert (response.status_code, [error["row"] for error in response.json()["errors"]]) == (422, [0, 1])


def test_partial_says_which_rows_the_model_has_no_price_for(client):
    """A price that is not finite is null and an error at the place of its row, also behind bad rows."""
    rows = [{"guide": 0}, tiny.NO_PRICE, tiny.ROW]
    document = predict(client, rows=rows, partial=True).json()
    assert document["predictions"] == [None, None, tiny.expected(1, tiny.ROW)]
    assert [(error["row"], error["code"]) for error in document["errors"]] == [(0, "out_of_range"), (1, "no_price")]
    refused = predict(client, rows=rows[1:]).json()
    assert [(error["row"], error["code"]) for error in refused["errors"]] == [(0, "no_price")]


def test_partial_with_only_good_rows_has_no_errors(client):
    """The answer is the same as without it."""
    assert predict(client, rows=[tiny.ROW], partial=True).json() == predict(client, rows=[tiny.ROW]).json()


KNOWING = Schema(
    tuple(
        dataclasses.replace(column, known=("Ford", "Kia"))
        if column.name == "make"
        else dataclasses.replace(column, usual_minimum=1990, usual_maximum=2015)
        if column.name == "year"
        else dataclasses.replace(column, usual_maximum=50_000, unit="miles")
        if column.name == "miles"
        else column
        for column in tiny.COLUMNS
    ),
    "USD",
)


@pytest.fixture
def knowing(root, client):
    """A client of a release that says what it has learned from."""
    tiny.go(root, 2, tiny.bundle(2, KNOWING))
    wait_for(lambda: client.get("/readyz").headers["x-model-version"] == "2")
    return client


@pytest.mark.parametrize("before", [0, 20, 100])
def test_odd_values_are_answered_and_noted(knowing, before):
    """Unknown texts and unusual numbers come with the row, the column and a code; null and usual values without."""
    usual = [{"guide": 1, "year": 1990, "make": "Kia", "miles": 50_000}] * before
    odd = [{"guide": 1}, {"guide": 1, "make": "Kai", "year": 2016}, {"guide": 1, "miles": 50_001, "make": ""}]
    document = predict(knowing, rows=usual + odd).json()
    assert [(note["row"] - before, note["column"], note["code"]) for note in document["notes"]] == [
        (1, "make", "unknown_text"),
        (1, "year", "unusual_number"),
        (2, "miles", "unusual_number"),
    ]
    assert [note["message"] for note in document["notes"]][1:] == [
        "the model has learned from 1990 to 2015",
        "the model has learned from numbers up to 50000 miles",
    ]
    assert document["predictions"][before:] == [tiny.expected(2, row) for row in odd]
    assert "Kai" not in json.dumps(document)


def test_nothing_odd_no_notes(knowing):
    """The member is only there when there is something to say."""
    assert "notes" not in predict(knowing, rows=[{"guide": 1, "make": "Ford", "year": 2000}]).json()


def test_notes_name_the_row_of_the_request_with_partial_too(knowing):
    """Counted with the bad rows before it."""
    rows = [{"guide": 0}, {"guide": 0}, {"guide": 1, "make": "Kai"}]
    assert [note["row"] for note in predict(knowing, rows=rows, partial=True).json()["notes"]] == [2]


def test_notes_do_not_grow_with_the_request(knowing):
    """The first hundred are enough."""
    assert len(predict(knowing, rows=[{"guide": 1, "make": "Kai"}] * 500).json()["notes"]) == 100


def test_the_example_of_the_openapi_document_is_answered(client):
    """Who copies the example gets a price."""
    example = client.get("/openapi.json").json()["components"]["schemas"]["PredictRequest"]["examples"][0]
    assert client.post("/v1/predict", json=example).status_code == 200
