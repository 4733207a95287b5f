"""serving/routes.py"""

import dataclasses
import json
import threading

import pytest
from starlette.testclient import TestClient

from pipeline.contract.schema import Column, Schema
from pipeline.contract.status import Status
from serving.app import create_app
from serving.responses import PROBLEMS
from serving.settings import Settings
from tests.serving import tiny
from tests.serving.process import TOKEN, wait_for

GOOD = {"rows": [tiny.ROW]}


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
    "deep lists": (b'{"rows": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not_json"),
    "deep objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not_json"),
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


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/predict"), ("GET", "/v1/schema"), ("GET", "/readyz")])
def test_before_the_first_release_the_answer_is_503(empty, method, path):
    """With the code no_release and when to come again."""
    response = empty.request(method, path, json=GOOD if method == "POST" else None)
    assert (response.status_code, response.json()["code"]) == (503, "no_release")
    assert response.headers["retry-after"] == "1"
    assert "x-model-version" not in response.headers


@pytest.mark.parametrize("path", ["/livez", "/v1/model", "/docs", "/openapi.json"])
def test_a_process_without_release_is_alive_and_explains_itself(empty, path):
    """Nothing but answering prices needs a release."""
    assert empty.get(path).status_code == 200


def test_the_status_is_that_of_the_contract(client):
    """GET /v1/model can be read back as a Status."""
    status = Status.from_dict(client.get("/v1/model").json())
    assert (status.model, status.ready, status.version, status.generation) == ("car_price", True, 1, 1)
    assert status.digest == tiny.bundle(1).digest


def push(client, value):
    return client.post("/v1/reload", headers={"authorization": value} if value is not None else {})


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer é"])
def test_a_push_without_the_token_is_refused(client, value):
    """401, and it says which scheme is asked for."""
    response = push(client, value.encode("latin-1") if value else value)
    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_push_makes_the_channel_live_before_it_answers(root, client):
    """The answer is the status after one whole look, named in its headers too."""
    release = tiny.go(root, 2)
    response = push(client, f"Bearer {TOKEN}")
    assert response.status_code == 200
    assert (response.json()["version"], response.json()["digest"]) == (2, release.digest)
    assert response.headers["x-model-version"] == "2"


def test_a_push_of_a_bad_release_answers_why_it_was_refused(root, client):
    """The old release stays and the reason comes back at once."""
    tiny.go(root, 2, tiny.bundle(2, model=b"broken"))
    document = push(client, f"Bearer {TOKEN}").json()
    assert (document["version"], document["ready"], document["refusal"]["version"]) == (1, True, 2)
    assert document["refusal"]["reason"]


def test_a_push_that_takes_long_is_answered_202(root, client, monkeypatch):
    """The caller is not held for ever by a slow load, and the old release answers meanwhile."""
    monkeypatch.setattr("serving.routes.RELOAD_WAIT_SECONDS", 0.1)
    reconciler, go_on = client.app.state.service.reconciler, threading.Event()
    load = reconciler._load
    reconciler._load = lambda *arguments: go_on.wait(20) and load(*arguments)
    tiny.go(root, 2)
    assert push(client, f"Bearer {TOKEN}").status_code == 202
    assert client.post("/v1/predict", json=GOOD).json()["version"] == 1
    go_on.set()
    wait_for(lambda: client.get("/v1/model").json()["version"] == 2)


def test_without_any_credential_configured_nobody_can_push(root):
    """An empty token is no token."""
    with TestClient(create_app(Settings(store=f"file:{root}"))) as client:
        response = push(client, "Bearer ")
    assert (response.status_code, response.json()["code"]) == (403, "push_disabled")


def test_another_schema_shows_at_once_in_schema_docs_and_openapi(root, client):
    """After a reload with other columns every description has the new ones."""
    fewer = Schema((Column("guide", "numeric", "guide price", "EUR", 1, 9_000, example=70),), "EUR")
    tiny.go(root, 2, tiny.bundle(2, fewer))
    wait_for(lambda: client.get("/v1/model").json()["version"] == 2)
    assert list(client.get("/v1/schema").json()["properties"]) == ["guide"]
    assert list(client.get("/openapi.json").json()["components"]["schemas"]["Row"]["properties"]) == ["guide"]
    assert "between 1 and 9000 EUR" in client.get("/docs").text
    assert client.post("/v1/predict", json=GOOD).json()["errors"][0]["code"] == "unknown_column"


def test_the_example_of_the_openapi_document_is_answered(client):
    """Who copies the example gets a price."""
    example = client.get("/openapi.json").json()["components"]["schemas"]["PredictRequest"]["examples"][0]
    assert client.post("/v1/predict", json=example).status_code == 200
