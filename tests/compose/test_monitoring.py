"""The profile `monitoring`: Prometheus sees every replica and knows the alerts. Grafana's files: ``tests/deploy``."""

import pytest

from tests.compose.load import direct
from tests.compose.stack import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(2400)]


def ask(stack, path):
    with direct() as session:
        return session.get(f"{stack.url('prometheus')}/api/v1/{path}", timeout=30).json()["data"]


def test_prometheus_sees_every_replica_and_knows_the_alerts(live):
    """Both replicas and the gateway are up to it, and the rules of deploy/monitoring are loaded."""
    stack = live.told(COMPOSE_PROFILES="monitoring")
    stack.compose("up", "-d", "--no-recreate", "prometheus")
    stack.wait_until_well()

    def up():
        return sorted((t["labels"]["job"], t["health"]) for t in ask(stack, "targets")["activeTargets"])

    wanted = [("gavel-gateway", "up"), ("gavel-serving", "up"), ("gavel-serving", "up"), ("prometheus", "up")]
    wait_for(lambda: up() == wanted, 120, up)
    rules = [rule for group in ask(stack, "rules")["groups"] for rule in group["rules"]]
    assert "GavelNobodyAnswers" in {rule["name"] for rule in rules}
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
