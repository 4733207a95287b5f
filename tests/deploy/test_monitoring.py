"""deploy/monitoring: alert rules and dashboard, by Prometheus' own tool and against a real scrape."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "monitoring"
DASHBOARD = FOLDER / "grafana" / "serving.json"
METRICS = FOLDER.parents[1] / "serving" / "metrics.py"


@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", "alerts.yaml"),
        ("test", "rules", "alerts_test.yaml"),
        ("check", "config", "--syntax-only", "prometheus.yaml"),
    ],
)
def test_prometheus_takes_the_files_and_the_alerts_fire_when_they_should(command):
    """alerts_test.yaml has a case for each alert."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed here (Debian: prometheus)")
    found = subprocess.run([promtool, *command], cwd=FOLDER, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_alert_has_a_case_and_says_what_to_do():
    """An alert nobody tested, or without an action, is noise."""
    rules = (FOLDER / "alerts.yaml").read_text()
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert all(alert in (FOLDER / "alerts_test.yaml").read_text() for alert in alerts)
    assert rules.count("action:") == rules.count("summary:") == len(alerts)


def test_the_dashboard_and_the_alerts_name_only_figures_that_are_counted():
    """A renamed metric must not leave an empty panel or an alert that cannot fire."""
    defined = re.findall(r'"(gavel_\w+)"', METRICS.read_text())
    exported = {name + end for name in defined for end in ("", "_total", "_bucket", "_count", "_sum")}
    text = (FOLDER / "alerts.yaml").read_text() + DASHBOARD.read_text()
    assert set(re.findall(r"gavel_\w+", text)) <= exported


def test_the_dashboard_shows_every_figure():
    """What is counted can be seen."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    assert all(name in shown for name in re.findall(r'"(gavel_\w+)"', METRICS.read_text()))
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_grafana_finds_the_dashboard_and_its_figures_where_compose_mounts_them():
    """Both provisioning files are for the folders and the name that docker-compose.yaml has."""
    services = yaml.safe_load((FOLDER.parents[1] / "docker-compose.yaml").read_text())["services"]
    mounts = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    provider = yaml.safe_load((FOLDER / "grafana" / "dashboards" / "gavel.yaml").read_text())["providers"][0]
    source = yaml.safe_load((FOLDER / "grafana" / "datasources" / "prometheus.yaml").read_text())["datasources"][0]
    assert mounts["./deploy/monitoring/grafana"] == provider["options"]["path"]
    assert source["url"] == "http://prometheus:9090"
    for kind in ("dashboards", "datasources"):
        assert mounts[f"./deploy/monitoring/grafana/{kind}"] == f"/etc/grafana/provisioning/{kind}"
