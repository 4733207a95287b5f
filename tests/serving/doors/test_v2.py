"""serving/doors/v2.py: the protocol as it is written; tritonclient speaks it in test_v2_client.py."""

import json
import struct

import numpy as np
import pytest

from tests.serving import tiny

INFER = "/v2/models/car_price/infer"


def tensor(name, data, datatype="FP64", shape=None, **more):
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data, **more}


GUIDE = tensor("guide", [100.0, 200.0])


def ask(client, *inputs, path=INFER, **more):
    return client.post(path, json={"inputs": list(inputs), **more})


def prices(response, name="price"):
    assert response.status_code == 200, response.text
    return next(output["data"] for output in response.json()["outputs"] if output["name"] == name)


def binary(head, *raw, length=None):
    text = json.dumps(head).encode()
    headers = {"inference-header-content-length": str(len(text) if length is None else length)}
    return {"content": b"".join((text, *raw)), "headers": headers}


@pytest.mark.parametrize("twice", ['"id": "a", "id": "b"', '"inputs": []'])
def test_a_name_twice_in_an_object_is_refused(client, twice):
    """Which of the two was meant nobody knows; /v1/predict refuses it, too."""
    body = f'{{{twice}, "inputs": {json.dumps([GUIDE])}}}'
    response = client.post(INFER, content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (400, "not_json")


def test_the_answer_names_model_version_digest_and_id(client, loaded):
    """Outputs have shape [n, 1] and datatype FP64, in the schema's order."""
    document = ask(client, GUIDE, id="mine").json()
    assert (document["model_name"], document["model_version"], document["id"]) == ("car_price", "1", "mine")
    assert document["parameters"] == {"digest": loaded.digest}
    assert [(o["name"], o["datatype"], o["shape"]) for o in document["outputs"]] == [
        (name, "FP64", [2, 1]) for name in ("price", "low", "high")
    ]
    assert document["outputs"][0]["data"] == [1_100, 1_200]


@pytest.mark.parametrize(
    "guide",
    [
        tensor("guide", [[100], [200]], "INT32", [2, 1]),
        tensor("guide", [100, 200], "UINT64", [2, 1]),
        tensor("guide", [100, 200.0], "FP32"),
    ],
)
def test_a_column_may_be_flat_or_nested_and_of_any_kind_of_number(client, guide):
    """The shapes [n] and [n, 1] mean the same."""
    assert prices(ask(client, guide)) == [1_100, 1_200]


def test_null_and_a_column_left_out_are_not_known(client):
    """The tiny model adds the year, 0 when it is not known."""
    year, make = tensor("year", [2010, None]), tensor("make", ["Ford", None], "BYTES")
    assert prices(ask(client, GUIDE, year, make)) == [3_110, 1_200]


def test_outputs_are_those_asked_for_in_their_order(client):
    """Each as JSON or as bytes; what a request asks of all holds for those that say nothing."""
    wanted = [{"name": "high", "parameters": {"binary_data": False}}, {"name": "low"}]
    response = ask(client, GUIDE, outputs=wanted, parameters={"binary_data_output": True})
    length = int(response.headers["inference-header-content-length"])
    outputs = json.loads(response.content[:length])["outputs"]
    assert [(o["name"], o.get("data"), o.get("parameters")) for o in outputs] == [
        ("high", [1_200, 1_300], None),
        ("low", None, {"binary_data_size": 16}),
    ]
    assert np.frombuffer(response.content[length:], "<f8").tolist() == [1_000, 1_100]
    assert response.headers["content-type"] == "application/octet-stream"


def test_bytes_behind_the_json_are_the_tensors_in_their_order(client):
    """NaN in numbers and "" in texts are not known."""
    year = {"name": "year", "datatype": "FP32", "shape": [2, 1], "parameters": {"binary_data_size": 8}}
    make = {"name": "make", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 13}}
    raw = struct.pack("<2f", float("nan"), 2_000), struct.pack("<I5sI", 5, "Škód".encode()[:5], 0)
    assert prices(client.post(INFER, **binary({"inputs": [year, GUIDE, make]}, *raw))) == [1_100, 3_200]


ONE = {"name": "guide", "datatype": "FP64", "shape": [1]}
TEXT = {"name": "make", "datatype": "BYTES", "shape": [1]}
HOSTILE_TENSORS = {
    "no rows": tensor("guide", [], shape=[0]),
    "negative": tensor("guide", [1.0], shape=[-1]),
    "negative both": tensor("guide", [1.0], shape=[-1, -1]),
    "huge": tensor("guide", [1.0], shape=[1 << 62]),
    "overflowing": tensor("guide", [1.0], shape=[1 << 62, 1 << 62]),
    "four thousand digits": tensor("guide", [1.0], shape=[10**4_200]),
    "four hundred digits": tensor("guide", [1.0], shape=[10**400]),
    "wide": tensor("guide", [1.0, 2.0], shape=[1, 2]),
    "no dimension": {**ONE, "shape": [], "data": []},
    "three dimensions": tensor("guide", [1.0], shape=[1, 1, 1]),
    "fractional": {**ONE, "shape": [1.5], "data": [1.0]},
    "more data than shape": tensor("guide", [1.0, 2.0], shape=[1]),
    "less data than shape": tensor("guide", [1.0], shape=[2]),
    "uneven": tensor("guide", [[1.0], [2.0, 3.0]]),
    "half nested": tensor("guide", [[1.0], 2.0]),
    "deep": tensor("guide", [[[1.0]]]),
    "data no list": {**ONE, "data": 1.0},
    "data an object": {**ONE, "data": {"a": 1}},
    "no data": ONE,
    "text in a number": tensor("guide", ["1"]),
    "true in a number": tensor("guide", [True]),
    "BOOL": tensor("guide", [True], "BOOL"),
    "a datatype nobody knows": tensor("guide", [1.0], "FP128"),
    "BYTES for a number": tensor("guide", ["1"], "BYTES"),
    "number for a text": tensor("make", [1.0], "FP64"),
    "number in a text": tensor("make", [1.0], "BYTES"),
    "NUL in a text": tensor("make", ["a\0b"], "BYTES"),
    "out of range": tensor("year", [99.0]),
    "too large": tensor("guide", [10**400]),
    "required": tensor("guide", [None]),
    "shared memory": {**ONE, "parameters": {"shared_memory_region": "mine"}},
}


@pytest.mark.parametrize("wrong", HOSTILE_TENSORS.values(), ids=HOSTILE_TENSORS.keys())
def test_a_tensor_that_lies_is_a_client_error(client, wrong):
    """No shape, datatype or value makes it anything else; ``error`` says what to do, as the protocol's clients want."""
    response = ask(client, wrong)
    assert 400 <= response.status_code < 500, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["error"]


HOSTILE_BINARY = {
    "negative size": (ONE, -8, b"\0" * 8),
    "larger than what is there": (ONE, 9, b"\0" * 8),
    "smaller than what is there": (ONE, 4, b"\0" * 8),
    "another size than the shape": (ONE, 16, b"\0" * 16),
    "huge": (ONE, 1 << 62, b"\0" * 8),
    "infinite": (ONE, 8, struct.pack("<d", float("inf"))),
    "not known but required": (ONE, 8, struct.pack("<d", float("nan"))),
    "half a length": (TEXT, 2, b"\1\0"),
    "text shorter than its length": (TEXT, 6, b"\3\0\0\0ab"),
    "text longer than its length": (TEXT, 7, b"\2\0\0\0abc"),
    "huge text": (TEXT, 6, b"\xff\xff\xff\xffab"),
    "more texts than rows": (TEXT, 10, b"\1\0\0\0a\1\0\0\0b"),
    "fewer texts than rows": (TEXT, 0, b""),
    "not UTF-8": (TEXT, 6, b"\2\0\0\0\xff\xfe"),
    "half a character": (TEXT, 5, b"\1\0\0\0\xc3"),
    "NUL": (TEXT, 6, b"\2\0\0\0a\0"),
    "long": (TEXT, 305, struct.pack("<I", 301) + b"a" * 301),
}


@pytest.mark.parametrize(("shape", "size", "raw"), HOSTILE_BINARY.values(), ids=HOSTILE_BINARY.keys())
def test_bytes_that_do_not_fit_are_a_client_error(client, shape, size, raw):
    """Whatever sizes and lengths say, what counts is what is there."""
    response = client.post(INFER, **binary({"inputs": [{**shape, "parameters": {"binary_data_size": size}}]}, raw))
    assert 400 <= response.status_code < 500, response.text


@pytest.mark.parametrize("length", ["-1", "x", "", "99999", "9" * 5_000, "1"])
def test_a_header_length_that_lies_is_a_client_error(client, length):
    """It must be a number, and within the body."""
    response = client.post(INFER, **binary({"inputs": [GUIDE]}, length=length))
    assert response.status_code in {400, 422}, response.text


HOSTILE_BODIES = [
    b"", b"null", b"[]", b"1", b'"a"', b"{}", b'{"inputs": null}', b'{"inputs": {}}', b'{"inputs": []}', b'{"inputs": [1]}',
    b'{"inputs": [{"name": "guide", "shape": [1], "datatype": "FP64", "data": [NaN]}]}',
    b'{"inputs": [{"name": "guide", "shape": [1], "datatype": "FP64", "data": [1e400]}]}',
    b'{"inputs": [{"name": "gu\xff", "shape": [1], "datatype": "FP64", "data": [1]}]}',
    b'{"inputs": [{"name": "\\ud800", "shape": [1], "datatype": "FP64", "data": [1]}]}',
    b'{"inputs": ' + b"[" * 100_000, b'{"id": 1, "inputs": []}', b'{"inputs": [], "parameters": 1}', b"\xef\xbb\xbf{}",
]  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE_BODIES)
def test_a_body_that_is_no_request_is_a_client_error(client, body):
    """It is a problem with a stable code."""
    response = client.post(INFER, content=body, headers={"content-type": "application/json"})
    assert 400 <= response.status_code < 500
    assert response.json()["code"] in {"not_json", "wrong_shape", "no_rows", "too_many_rows"}


def test_an_unknown_input_is_told_the_nearest_name(client):
    """A client that looks only at ``error`` reads it, too."""
    problem = ask(client, GUIDE, tensor("yaer", [1.0, 2.0])).json()
    assert problem["errors"][0]["message"] == "there is no such column; did you mean 'year'?"
    assert "did you mean 'year'?" in problem["error"]


@pytest.mark.parametrize(
    ("inputs", "more", "reason"),
    [
        ([GUIDE, GUIDE], {}, "each input must be there once"),
        ([GUIDE, tensor("year", [2000.0])], {}, "all inputs must have equally many rows"),
        ([GUIDE], {"outputs": [{"name": "cost"}]}, "the outputs are price, low, high"),
        ([GUIDE], {"outputs": [{"name": "low"}] * 2}, "ask for each at most once"),
        ([tensor("guide", [1.0] * 1_001)], {}, "at most 1000 fit"),
        ([tensor("guide", [1.0], shape=[1_001])], {}, "at most 1000 fit"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(client, inputs, more, reason):
    """The error says which parts."""
    response = ask(client, *inputs, **more)
    assert response.status_code in {413, 422}
    assert reason in response.json()["error"]


def test_a_row_without_an_answer_is_an_error(client):
    """There is no place in the protocol for an answer that is not there."""
    row = [tensor(name, [float(value)]) for name, value in tiny.NO_PRICE.items()]
    problem = ask(client, *row).json()
    assert (problem["status"], problem["errors"][0]["code"]) == (422, "no_price")


@pytest.mark.parametrize("end", ["", "/ready", "/infer"])
def test_another_model_or_version_is_not_found(client, end):
    """The error says what is live."""
    method, body = ("POST", {"json": {"inputs": [GUIDE]}}) if end == "/infer" else ("GET", {})
    for path, live in (("other", "version 1 is live"), ("car_price/versions/2", "version 1 is live")):
        response = client.request(method, f"/v2/models/{path}{end}", **body)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
        assert live in response.json()["error"]
    assert client.request(method, f"/v2/models/car_price/versions/1{end}", **body).status_code == 200


def test_server_and_model_describe_themselves(client):
    """Inputs are FP64 or BYTES, of any number of rows."""
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    model = client.get("/v2/models/car_price").json()
    assert (model["name"], model["versions"]) == ("car_price", ["1"])
    assert {"name": "make", "datatype": "BYTES", "shape": [-1, 1]} in model["inputs"]
    assert {"name": "year", "datatype": "FP64", "shape": [-1, 1]} in model["inputs"]
    assert model["outputs"][0] == {"name": "price", "datatype": "FP64", "shape": [-1, 1]}


def test_without_a_release_it_lives_and_is_not_ready(empty):
    """Readiness is that of /readyz."""
    assert empty.get("/v2/health/live").json() == {"live": True}
    for path in ("/v2/health/ready", "/v2/models/car_price/ready", "/v2/models/car_price"):
        response = empty.get(path)
        assert (response.status_code, response.json()["code"]) == (503, "no_release")
        assert response.json()["error"]


def test_with_a_release_it_is_ready(client):
    """Server and model say it by their own addresses."""
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/car_price/ready").json() == {"name": "car_price", "ready": True}


def test_the_example_of_the_openapi_document_is_answered(client):
    """What /openapi.json shows can be sent as it is."""
    example = client.get("/openapi.json").json()["components"]["schemas"]["V2Request"]["examples"][0]
    assert prices(client.post(INFER, json=example)) == [1_000 + tiny.ROW["year"] + tiny.ROW["guide"]]


def test_what_is_odd_is_noted_with_the_answer(client, root):
    """Notes are JSON in a parameter; an answer with nothing odd has none."""
    from dataclasses import replace

    from tests.serving.process import wait_for

    usual = tuple(replace(c, usual_maximum=150.0) if c.name == "guide" else c for c in tiny.COLUMNS)
    tiny.go(root, 2, tiny.bundle(2, tiny.Schema(usual, "USD")))
    wait_for(lambda: client.get("/v2/models/car_price").json()["versions"] == ["2"])
    notes = json.loads(ask(client, GUIDE).json()["parameters"]["notes"])
    assert [(note["row"], note["code"]) for note in notes] == [(1, "unusual_number")]
