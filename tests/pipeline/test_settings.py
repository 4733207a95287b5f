"""Settings come from the environment, once, and a mistake in them has a sentence."""

from __future__ import annotations

import os
import re

import pytest
from pydantic import ValidationError

from pipeline.errors import GiveUp, SettingsInvalid
from pipeline.settings import PREFIX, Settings, read_settings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own settings are not the matter."""
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


def test_everything_has_a_default() -> None:
    """The embedded auction, local files, the services of this machine."""
    settings = read_settings()
    assert (settings.dataset, settings.source, settings.store) == ("car_auctions", "simulated:", "file:.gavel/store")
    assert settings.serving_urls == ("http://127.0.0.1:8000",)
    assert settings.with_baseline


def test_each_setting_is_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text becomes the setting's own type."""
    given = {
        "DATASET": "house_prices", "WINDOW_DAYS": "14", "WITH_BASELINE": "false", "GATE_MARGIN": "0.5",
        "SERVING_URLS": '["http://a:1", "http://b:2"]', "PUSH_TOKEN": "secret", "SEED": "3",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(PREFIX + name, value)
    settings = read_settings()
    assert (settings.dataset, settings.window_days, settings.with_baseline) == ("house_prices", 14, False)
    assert (settings.gate_margin, settings.seed) == (0.5, 3)
    assert settings.serving_urls == ("http://a:1", "http://b:2")
    assert settings.push_token.get_secret_value() == "secret"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("GAVEL_SOUCRE", "GAVEL_SOURCE"), ("GAVEL_WINDOW", "GAVEL_WINDOW_DAYS"), ("GAVEL_MLFLOW", "GAVEL_MLFLOW_URI")],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(
    name: str, nearest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt setting would silently keep its default."""
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsInvalid, match=f"^{name} is not a setting; did you mean {nearest}\\?$"):
        read_settings()


def test_an_unknown_variable_that_is_like_none_is_refused_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No guess is better than a wild one; variables of others are not looked at."""
    monkeypatch.setenv("GAVEL_QQQQQQQQ", "1")
    monkeypatch.setenv("GAVELS_SOURCE", "1")
    with pytest.raises(SettingsInvalid, match=r"^GAVEL_QQQQQQQQ is not a setting$"):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [("WINDOW_DAYS", "2"), ("WINDOW_DAYS", "many"), ("SEED", "-1"), ("GATE_MARGIN", "1.5"), ("DEPLOY_TIMEOUT", "0"),
     ("WITH_BASELINE", "perhaps")],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_refused_by_the_variables_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying again does not help."""
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(SettingsInvalid, match=f"^{PREFIX}{name}: ") as found:
        read_settings()
    assert isinstance(found.value, GiveUp)


def test_a_list_that_is_no_json_is_refused_by_the_variables_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain address is what a person would write; the error shows how it is written."""
    monkeypatch.setenv("GAVEL_SERVING_URLS", "http://127.0.0.1:8000")
    with pytest.raises(SettingsInvalid, match=r"GAVEL_SERVING_URLS=.\[\"http"):
        read_settings()


@pytest.mark.parametrize(("url", "why"), [("serving:8000", "is no address"), ("dns+https://serving", "cannot work")])
def test_an_address_that_cannot_be_asked_is_refused(url: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a model is trained, not when it is to go live; the good ones beside it do not hide it."""
    monkeypatch.setenv("GAVEL_SERVING_URLS", f'["dns+http://serving:8000", "{url}"]')
    with pytest.raises(SettingsInvalid, match=f"^GAVEL_SERVING_URLS.1: .*'{re.escape(url)}' {why}"):
        read_settings()


def test_settings_cannot_be_changed_and_do_not_tell_the_token() -> None:
    """They are passed down and printed."""
    settings = Settings(push_token="secret")
    with pytest.raises(ValidationError):
        settings.seed = 8  # type: ignore[misc]
    assert "secret" not in repr(settings)
