"""serving/routes.py"""

import threading

import pytest
from starlette.testclient import TestClient

from pipeline.contract.schema import Column, Schema
from pipeline.contract.status import Status
from serving.app import create_app
from serving.settings import Settings
from tests.serving import tiny
from tests.serving.process import TOKEN, wait_for

GOOD = {"rows": [tiny.ROW]}


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
