"""What the processes of the stack are told."""

import os

import pytest

from local.environment import MARKER, environment
from local.keys import Keys
from local.layout import Ports, Stack, State

KEYS = Keys("password", "push", "jwt", "api", "public")


@pytest.fixture
def stack(tmp_path):
    return Stack(State(tmp_path), Ports(1, 2, 3), "folder:/data/a.csv", "car_price")


def test_the_pipeline_reads_its_settings_from_it(stack, monkeypatch):
    """Every GAVEL_ name is a setting, and they fit together."""
    from pipeline.settings import read_settings

    for name, value in environment({}, stack, KEYS).items():
        monkeypatch.setenv(name, value)
    settings = read_settings()
    assert settings.source == "folder:/data/a.csv"
    assert settings.store == f"file:{stack.state.store}"
    assert (settings.mlflow_uri, settings.serving_urls) == ("http://127.0.0.1:2", ("http://127.0.0.1:3",))
    assert settings.push_token.get_secret_value() == "push"
    assert settings.signing_key == str(stack.state.signing_key_file)


def test_serving_reads_its_settings_from_it(stack, monkeypatch):
    """The same store, the token the pipeline pushes with, the key it signs with."""
    from serving.settings import read_settings

    for name, value in environment({}, stack, KEYS).items():
        monkeypatch.setenv(name, value)
    settings = read_settings()
    assert (settings.store, settings.model, settings.port) == (f"file:{stack.state.store}", "car_price", 3)
    assert (settings.host, settings.push_token.get_secret_value()) == ("127.0.0.1", "push")
    assert settings.release_key == "public"


def test_what_would_steer_the_programs_from_outside_is_left_out(stack):
    """Another Airflow's settings, say."""
    outer = {
        "AIRFLOW__CORE__EXECUTOR": "X",
        "AIRFLOW_CONFIG": "x",
        "MLFLOW_TRACKING_URI": "x",
        "PYTHONPATH": "/x",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    found = environment(outer | {"HOME": "/home/me", "GAVEL_WINDOW_DAYS": "30"}, stack, KEYS)
    assert found["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert {"AIRFLOW_CONFIG", "MLFLOW_TRACKING_URI", "PYTHONDONTWRITEBYTECODE"}.isdisjoint(found)
    assert "/x" not in found["PYTHONPATH"]
    assert (found["HOME"], found["GAVEL_WINDOW_DAYS"]) == ("/home/me", "30")


def test_the_services_talk_to_each_other_without_a_proxy(stack):
    """A proxy of the company does not know this machine's 127.0.0.1."""
    found = environment({"HTTP_PROXY": "http://proxy:1", "no_proxy": "intra"}, stack, KEYS)
    assert found["NO_PROXY"] == found["no_proxy"] == "intra,127.0.0.1,localhost"


def test_every_process_carries_the_marker(stack):
    """And finds the programs of the main environment."""
    found = environment({"PATH": "/bin"}, stack, KEYS)
    assert found[MARKER] == str(stack.state.root)
    assert found["PATH"].split(os.pathsep)[0].endswith(".venv/bin")
    assert found["PATH"].endswith("/bin")


def test_airflow_is_reachable_from_this_machine_only(stack):
    """Under a password that is not the default one."""
    found = environment({}, stack, KEYS)
    assert (found["AIRFLOW__API__HOST"], found["AIRFLOW__API__PORT"]) == ("127.0.0.1", "1")
    assert found["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"] == str(stack.state.passwords_file)
