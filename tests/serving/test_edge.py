"""serving/edge.py"""

import dataclasses

import pytest
from starlette.testclient import TestClient

from serving.app import create_app
from serving.settings import Settings
from tests.serving import tiny


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/predict/", 404, "not_found"),
        ("GET", "/v1/predict", 405, "method_not_allowed"),
        ("DELETE", "/v1/model", 405, "method_not_allowed"),
    ],
)
def test_wrong_addresses_and_methods_are_problems_too(client, method, path, status, code):
    """404 and 405 look like every other error."""
    response = client.request(method, path)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-model-version"] == "1"
    assert ("allow" in response.headers) == (status == 405)


def test_what_nobody_expected_is_a_500_without_details(root, settings, caplog):
    """The client learns nothing of the inside; the log has it all."""
    app = create_app(settings)
    service = app.state.service
    tiny.go(root, 1)
    with TestClient(app) as client:
        service.reconciler.hint().result(10)
        service.reconciler.stop()
        service.slot.swap(dataclasses.replace(service.slot.live, session=None))
        response = client.post("/v1/predict", json={"rows": [tiny.ROW]})
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "NoneType" not in response.text
    assert "NoneType" in caplog.text


def test_a_draining_process_asks_clients_to_connect_elsewhere(client):
    """While it drains it still answers, closes each connection after it, and is not ready."""
    client.app.state.service.probe.drain()
    response = client.post("/v1/predict", json={"rows": [tiny.ROW]})
    assert (response.status_code, response.headers["connection"]) == (200, "close")
    assert client.get("/readyz").json()["detail"] == "this process is shutting down"


def test_every_answer_forbids_guessing_its_type(client):
    """A browser takes JSON as JSON."""
    assert client.get("/livez").headers["x-content-type-options"] == "nosniff"


def test_who_asks_too_often_is_told_when_to_come_again_but_health_is_always_answered(root):
    """429 with Retry-After; the probes of an engine come from one address and are never throttled."""
    tiny.go(root, 1)
    with TestClient(create_app(Settings(store=f"file:{root}", rate_limit="2/minute"))) as client:
        statuses = [client.get("/v1/model").status_code for _ in range(3)]
        refused = client.post("/v1/predict", json={"rows": [tiny.ROW]})
        assert statuses == [200, 200, 429]
        assert (refused.json()["code"], int(refused.headers["retry-after"]) > 0) == ("throttled", True)
        assert {client.get("/readyz").status_code for _ in range(5)} == {200}


@pytest.mark.parametrize("given", ["a-b_c.1", "x" * 64])
def test_a_request_keeps_the_id_it_brings(client, given):
    """Whoever asked finds the answer and the log lines by it."""
    assert client.get("/livez", headers={"x-request-id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "é".encode("latin-1"), "<script>"])
def test_a_request_without_a_usable_id_gets_one(client, given):
    """Nothing that somebody sends goes into a header or a log line unchecked."""
    found = client.get("/livez", headers={"x-request-id": given}).headers["x-request-id"]
    assert found != given
    assert len(found) == 16


def test_a_log_line_tells_request_and_trace(root, caplog):
    """With access_log each request has one line, which a tracing client finds by its trace id."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    caplog.set_level("INFO")
    with TestClient(create_app(Settings(store=f"file:{root}", access_log=True))) as client:
        client.get("/livez", headers={"x-request-id": "mine", "traceparent": f"00-{trace}-b7ad6b7169203331-01"})
        client.get("/livez", headers={"traceparent": "nonsense"})
    first, second = (record.fields for record in caplog.records if record.message == "request")
    assert (first["request_id"], first["trace_id"], first["status"], first["path"]) == ("mine", trace, 200, "/livez")
    assert "trace_id" not in second
