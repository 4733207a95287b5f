"""serving/edge.py"""

import dataclasses

import pytest
from starlette.testclient import TestClient

from serving.app import create_app
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
