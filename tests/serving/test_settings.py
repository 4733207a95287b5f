"""serving/settings.py"""

import pytest

from serving.errors import SettingsInvalid
from serving.settings import Settings, read_settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    import os

    for name in [name for name in os.environ if name.upper().startswith("SERVING_")]:
        monkeypatch.delenv(name)


def test_defaults_serve_the_car_price_model_on_loopback():
    """Without any variable the process follows car_price in the local store, on 127.0.0.1:8000."""
    settings = read_settings()
    assert (settings.store, settings.model) == ("file:.gavel/store", "car_price")
    assert (settings.host, settings.port, settings.poll_seconds) == ("127.0.0.1", 8000, 1)
    assert (settings.max_rows, settings.max_body_bytes) == (1_000, 1_048_576)


def test_variables_are_read_by_their_prefix(monkeypatch):
    """SERVING_PORT=9 is the port 9."""
    monkeypatch.setenv("SERVING_PORT", "9")
    assert read_settings().port == 9


@pytest.mark.parametrize("name", ["SERVING_PROT", "serving_prot", "SERVING_PORTS"])
def test_unknown_names_are_refused_with_the_nearest_name(monkeypatch, name):
    """A mistyped variable is not ignored in silence."""
    monkeypatch.setenv(name, "9")
    with pytest.raises(SettingsInvalid, match=f"{name} is not a setting; did you mean SERVING_PORT"):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "65536"), ("PORT", "tcp://10.0.0.1:80"), ("POLL_SECONDS", "0"), ("MODEL", "../x")]
)
def test_values_that_cannot_be_used_are_named(monkeypatch, name, value):
    """The message names the variable."""
    monkeypatch.setenv(f"SERVING_{name}", value)
    with pytest.raises(SettingsInvalid, match=f"SERVING_{name}: "):
        read_settings()


def test_settings_are_frozen_and_hide_the_token():
    """Nothing changes a setting later, and printing the settings does not show the token."""
    settings = Settings(push_token="hush")
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1
    assert "hush" not in repr(settings)
