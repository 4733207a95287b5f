"""serving/doors/invocations.py"""

import json

import numpy as np
import pytest
import requests

from pipeline.contract.channel import Release
from tests.serving import tiny
from tests.serving.process import serving, wait_for

ROWS = [tiny.ROW, {"guide": 5_000.5}, {"guide": 100, "year": None, "make": 'a "new", é'}]
NAMES = ["year", "miles", "make", "guide"]
COLUMNS = {name: [row.get(name) for row in ROWS] for name in NAMES}
DATA = [[row.get(name) for name in NAMES] for row in ROWS]
CSV = 'guide,make,year\n22400,Ford,2013\n5.0005e3,,\n100,"a ""new"", é",\n'

FORMS = {
    "split": {"dataframe_split": {"columns": NAMES, "index": [7, 8, 9], "data": DATA}},
    "split without index": {"dataframe_split": {"columns": NAMES, "data": DATA}},
    "records": {"dataframe_records": ROWS},
    "instances": {"instances": ROWS},
    "instances by column": {"instances": COLUMNS},
    "inputs": {"inputs": COLUMNS},
    "inputs by row": {"inputs": ROWS},
    "empty params": {"inputs": COLUMNS, "params": {}},
}


def csv(client, body, **headers):
    return client.post("/invocations", content=body, headers={"content-type": "text/csv", **headers})


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_answered_with_the_numbers_of_predict(client, form):
    """The same rows through both doors have equal prices, in MLflow's form and nothing beside it."""
    response = client.post("/invocations", json=FORMS[form])
    assert response.json() == {"predictions": client.post("/v1/predict", json={"rows": ROWS}).json()["predictions"]}
    assert response.headers["x-model-version"] == "1"


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_csv_is_answered_like_json(client, ending):
    """Names first, in any order; an empty field is not known; quotes and line breaks as in RFC 4180."""
    response = csv(client, CSV.replace("\n", ending).encode(), **{"content-type": "Text/CSV; charset=utf-8"})
    assert response.json() == client.post("/invocations", json={"inputs": COLUMNS}).json()


def test_a_nan_of_pandas_is_not_known(client):
    """MLflow's client writes missing numbers as a bare NaN; it counts as null, also where null is refused."""
    body = b'{"dataframe_split": {"columns": ["guide", "year"], "data": [[100, NaN]]}}'
    assert client.post("/invocations", content=body).json()["predictions"] == [tiny.expected(1, {"guide": 100})]
    refused = client.post("/invocations", content=b'{"dataframe_records": [{"guide": NaN}]}')
    assert refused.json()["errors"][0]["code"] == "required"


SPLIT = {"columns": ["guide"], "data": [[1]]}
REFUSED = {
    "nothing": ({}, "wrong_shape"),
    "list": ([tiny.ROW], "wrong_shape"),
    "two forms": ({"instances": ROWS, "inputs": COLUMNS}, "wrong_shape"),
    "one more member": ({"instances": ROWS, "signature_name": "x"}, "wrong_shape"),
    "params": ({"instances": ROWS, "params": {"temperature": 1}}, "wrong_shape"),
    "params no object": ({"instances": ROWS, "params": False}, "wrong_shape"),
    "records by column": ({"dataframe_records": COLUMNS}, "wrong_shape"),
    "one record": ({"instances": tiny.ROW}, "wrong_shape"),
    "unequal columns": ({"inputs": {"guide": [1, 2], "year": [1]}}, "wrong_shape"),
    "no data": ({"dataframe_split": {"columns": ["guide"]}}, "wrong_shape"),
    "no columns": ({"dataframe_split": {"data": [[1]]}}, "wrong_shape"),
    "data no list": ({"dataframe_split": {**SPLIT, "data": {"guide": [1]}}}, "wrong_shape"),
    "more in split": ({"dataframe_split": {**SPLIT, "dtype": []}}, "wrong_shape"),
    "names no texts": ({"dataframe_split": {**SPLIT, "columns": [["guide"]]}}, "wrong_shape"),
    "names twice": ({"dataframe_split": {"columns": ["guide", "guide"], "data": [[1, 1]]}}, "wrong_shape"),
    "short index": ({"dataframe_split": {**SPLIT, "index": []}}, "wrong_shape"),
    "no rows": ({"dataframe_split": {**SPLIT, "data": []}}, "no_rows"),
    "no records": ({"dataframe_records": []}, "no_rows"),
    "no columns at all": ({"inputs": {}}, "no_rows"),
    "too many records": ({"instances": [{"guide": 1}] * 1_001}, "too_many_rows"),
    "too many lines": ({"dataframe_split": {**SPLIT, "data": [[1]] * 1_001}}, "too_many_rows"),
    "too many values": ({"inputs": {"guide": [1] * 1_001}}, "too_many_rows"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_another_shape_is_refused_in_the_words_of_both_worlds(client, name):
    """problem+json with the stable code, and the two members that MLflow's clients read."""
    body, code = REFUSED[name]
    response = client.post("/invocations", json=body)
    document = response.json()
    assert (document["code"], response.headers["content-type"]) == (code, "application/problem+json")
    assert (document["error_code"], document["message"]) == ("BAD_REQUEST", document["detail"])


def test_every_bad_row_is_named(client):
    """Unknown columns name the nearest one; lines of another length and what is no object are errors of their rows."""
    unknown = client.post("/invocations", json={"instances": [{"guide": 1, "yaer": 1}, {"guide": 0}]}).json()
    assert [(error["row"], error["column"]) for error in unknown["errors"]] == [(0, "yaer"), (1, "guide")]
    assert "did you mean 'year'?" in unknown["errors"][0]["message"]
    assert unknown["error_code"] == "BAD_REQUEST"
    lines = client.post("/invocations", json={"dataframe_split": {**SPLIT, "data": [[1], 1, [1, 2]]}}).json()
    assert [(error["row"], error["code"]) for error in lines["errors"]] == [(1, "wrong_length"), (2, "wrong_length")]
    tensor = client.post("/invocations", json={"instances": [[1, 2]]}).json()
    assert tensor["errors"][0]["code"] == "not_an_object"


def test_a_row_without_finite_price_is_refused(client):
    """No NaN and no null is ever answered as a price."""
    document = client.post("/invocations", json={"instances": [tiny.ROW, tiny.NO_PRICE]}).json()
    assert [(error["row"], error["code"]) for error in document["errors"]] == [(1, "no_price")]


BAD_CSV = {
    "empty": (b"", "not_csv"),
    "blank first line": (b"\nguide\n1\n", "not_csv"),
    "name twice": (b"guide,guide\n1,1\n", "not_csv"),
    "not UTF-8": (b"guide\n\xff\n", "not_csv"),
    "open quote": (b'guide,make\n1,"Ford\n', "not_csv"),
    "more after a quote": (b'guide,make\n1,"Ford"x\n', "not_csv"),
    "large field": (b"guide,make\n1," + b"x" * 200_000 + b"\n", "not_csv"),
    "only names": (b"guide\n", "no_rows"),
    "too many": (b"guide\n" + b"1\n" * 1_001, "too_many_rows"),
    "no header": (b"22400,Ford,2013\n22400,Ford,2013\n", "rows_invalid"),
    "blank line": (b"guide\n1\n\n", "rows_invalid"),
    "short line": (b"guide,year\n1\n", "rows_invalid"),
    "byte order mark": (b"\xef\xbb\xbfguide\n1\n", "rows_invalid"),
    "index of pandas": (b",guide\n0,1\n", "rows_invalid"),
    "nul": (b"guide,make\n1,a\0b\n", "rows_invalid"),
    **{
        f"guide is {text}": (f"guide\n{text}\n".encode(), "rows_invalid")
        for text in ("abc", "nan", "inf", "-Infinity", "1e400", "1_000", " 1", "0x10", "\u0661", "True", '""')
    },
}


@pytest.mark.parametrize("name", BAD_CSV)
def test_bad_csv_is_refused(client, name):
    """Strictly: what pandas would guess at is an error here, and nothing of it comes back."""
    body, code = BAD_CSV[name]
    response = csv(client, body)
    assert (response.status_code // 100, response.json()["code"]) == (4, code)
    assert response.json()["error_code"] == "BAD_REQUEST"
    assert len(response.content) < 30_000


@pytest.mark.parametrize("kind", ["application/vnd.apache.parquet", "application/x-npy", "text/plain"])
def test_other_types_are_refused(client, kind):
    """Only JSON and CSV are read, and only uncompressed."""
    assert client.post("/invocations", content=b"{}", headers={"content-type": kind}).status_code == 415
    assert csv(client, CSV.encode(), **{"content-encoding": "gzip"}).status_code == 415


def test_an_unready_process_says_so_in_mlflows_words(empty):
    """Before the first release: 503 with MLflow's own code; ping fails, as a load balancer needs it."""
    response = empty.post("/invocations", json={"instances": ROWS})
    assert (response.status_code, response.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert empty.get("/ping").status_code == 503


def test_ping_and_version(client):
    """Ping is readiness; the version is a text that names this interface."""
    assert client.get("/ping").status_code == 200
    assert client.get("/version").text == "gavel/1"


def test_random_rows_get_equal_numbers_by_every_door(client):
    """500 rows with missing values: predict, split, records, inputs and CSV agree to the last bit."""
    random = np.random.default_rng(0)
    lines = [[None if random.random() < 0.2 else float(random.uniform(1900, 2100)), float(random.uniform(1, 1e6))] for _ in range(500)]  # fmt: skip
    records = [{"year": year, "guide": guide} for year, guide in lines]
    wanted = client.post("/v1/predict", json={"rows": records}).json()["predictions"]
    text = "year,guide\n" + "".join(f"{'' if year is None else repr(year)},{guide!r}\n" for year, guide in lines)
    by_column = {"year": [line[0] for line in lines], "guide": [line[1] for line in lines]}
    for body in (
        {"dataframe_split": {"columns": ["year", "guide"], "data": lines}},
        {"dataframe_records": records},
        {"inputs": by_column},
    ):
        assert client.post("/invocations", json=body).json()["predictions"] == wanted
    assert csv(client, text.encode()).json()["predictions"] == wanted


def test_the_example_of_the_document_is_answered(client):
    """Who copies the example gets a price."""
    example = client.get("/openapi.json").json()["components"]["schemas"]["Invocation"]["examples"][0]
    assert client.post("/invocations", json=example).status_code == 200


def test_it_is_a_sagemaker_container(root):
    """A real process on a port of its own answers GET /ping and POST /invocations, by requests, as SageMaker calls them."""
    release: Release = tiny.go(root, 1)
    with serving(root) as served, requests.Session() as session:
        at = f"http://127.0.0.1:{served.port}"
        wait_for(lambda: session.get(f"{at}/ping", timeout=5).status_code == 200)
        response = session.post(f"{at}/invocations", CSV.encode(), headers={"content-type": "text/csv"}, timeout=5)
        asked = session.post(f"{at}/invocations", json={"instances": ROWS}, timeout=5)
    assert response.json() == asked.json() == {"predictions": [tiny.expected(1, row) for row in ROWS]}
    assert (response.headers["x-model-digest"], json.loads(response.text)) == (release.digest, response.json())
