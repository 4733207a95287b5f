"""serving/metrics.py"""

import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serving import tiny
from tests.serving.process import TOKEN, serving, wait_for


def scrape(served):
    """All samples of a scrape: (name, labels) to value."""
    answer = served.ask("GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(answer.body.decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


@pytest.fixture
def served(root):
    tiny.go(root, 1)
    with serving(root, max_rows=10, rate_limit="1000/second") as served:
        wait_for(lambda: served.ask("GET", "/readyz").status == 200)
        yield served


def test_a_scrape_shows_what_was_answered(served):
    """Requests by door and status, their rows and how long they took, exactly as many as there were."""
    for count in (1, 2, 3):
        served.ask("POST", "/v1/predict", {"rows": [tiny.ROW] * count})
    served.ask("POST", "/v1/predict", {"rows": []})
    served.ask("POST", "/v1/predict", {"rows": [tiny.ROW] * 11})
    served.ask("POST", "/invocations", {"instances": [tiny.ROW] * 4})
    served.ask("GET", "/nothing")
    found = scrape(served)

    def requests(door, status):
        return found["gavel_requests_total", (("door", door), ("status", status))]

    assert (requests("predict", "200"), requests("predict", "422"), requests("predict", "413")) == (3, 1, 1)
    assert (requests("invocations", "200"), requests("other", "404")) == (1, 1)
    assert found["gavel_rows_total", (("door", "predict"),)] == 6
    assert found["gavel_rows_total", (("door", "invocations"),)] == 4
    assert found["gavel_request_seconds_count", (("door", "predict"),)] == 5
    assert 0 < found["gavel_request_seconds_sum", (("door", "predict"),)] < 5


def test_a_scrape_names_the_version_that_answers(served, root):
    """After a swap the new one, and how many there were; a release that was refused counts as such."""
    before = scrape(served)
    assert before["gavel_model_version", (("model", "car_price"),)] == 1
    tiny.go(root, 2)
    served.ask("POST", "/v1/reload", headers={"authorization": f"Bearer {TOKEN}"})
    tiny.go(root, 3, tiny.bundle(3, model=b"broken"))
    served.ask("POST", "/v1/reload", headers={"authorization": f"Bearer {TOKEN}"})
    after = scrape(served)
    assert after["gavel_model_version", (("model", "car_price"),)] == 2
    assert after["gavel_swaps_total", ()] - before["gavel_swaps_total", ()] == 1
    assert after["gavel_refusals_total", ()] == 1
    assert after["gavel_store_failed", ()] == 0
    assert after["gavel_model_live_since_seconds", ()] > 1.7e9


def test_who_is_refused_to_protect_the_others_is_counted(root):
    """By reason, beside its status."""
    tiny.go(root, 1)
    with serving(root, rate_limit="3/second") as served:
        statuses = [served.ask("POST", "/v1/predict", {"rows": [tiny.ROW]}).status for _ in range(20)]
        time.sleep(1.1)
        found = scrape(served)
    assert found["gavel_shed_total", (("reason", "throttled"),)] >= statuses.count(429) > 0


def test_labels_cannot_be_made_up_by_clients(served):
    """However many addresses and methods they try, there are no more time series than doors and statuses."""
    for i in range(50):
        served.ask("GET", f"/nothing/{i}?x={i}")
    found = scrape(served)
    assert {dict(labels)["door"] for name, labels in found if name == "gavel_requests_total"} == {"other"}
    assert found["gavel_requests_total", (("door", "other"), ("status", "404"))] == 50
