"""The profile `monitoring`: Prometheus sees every replica and knows the alerts. Grafana's files: ``tests/deploy``."""

import pytest

from tests.compose.stack import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(2400)]


def ask(stack, path):
    code = "import sys, urllib.request as r; print(r.urlopen('http://prometheus:9090/api/v1/' + sys.argv[1], timeout=9).read().decode())"
    import json

    return json.loads(stack.compose("exec", "-T", "airflow-scheduler", "python", "-c", code, path))["data"]


def test_prometheus_sees_every_replica_and_knows_the_alerts(live):
    """Both replicas are up to it, and the rules of deploy/monitoring are loaded."""
    stack = live.told(COMPOSE_PROFILES="monitoring")
    if "prometheus" not in stack.compose("config", "--services").split():
        pytest.skip("docker-compose.yaml has no prometheus")
    stack.compose("up", "-d", "--no-recreate", "prometheus")
    stack.wait_until_well()

    def up():
        targets = ask(stack, "targets")["activeTargets"]
        return [each["health"] for each in targets if each["labels"]["job"] == "serving"] == ["up", "up"]

    wait_for(up, 90, lambda: ask(stack, "targets"))
    rules = [rule["name"] for group in ask(stack, "rules")["groups"] for rule in group["rules"]]
    assert rules
