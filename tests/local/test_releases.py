"""The command for releases finds the stack of this folder by itself."""

import os

import pytest

from local import keys
from local.layout import Ports, State
from local.releases import main
from local.running import Running
from pipeline.settings import read_settings


@pytest.fixture
def state(tmp_path, monkeypatch):
    """Of a stack that was started once; what the command sets for itself is gone afterwards."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    made = State(tmp_path / "state")
    made.make()
    return made


def test_it_knows_store_servers_and_token_of_the_stack(state, capsys):
    """Nobody has to look for them."""
    Running.of(os.getpid(), Ports(1, 2, 3), "simulated:").write(state)
    assert main(["list"], state) == 0
    assert "there are no releases yet" in capsys.readouterr().out
    settings = read_settings()
    assert (settings.store, settings.serving_urls) == (f"file:{state.store}", ("http://127.0.0.1:3",))
    assert settings.push_token.get_secret_value() == keys.read_or_make(state).push_token


def test_without_a_stack_it_says_how_to_start_one(state, capsys):
    """Nothing is made."""
    assert main(["list"], state) == 1
    assert "make run" in capsys.readouterr().err
    assert not state.keys_file.exists()


def test_a_setting_that_cannot_be_used_is_named(state, monkeypatch, capsys):
    """As the other commands do, without a traceback."""
    Running.of(os.getpid(), Ports(1, 2, 3), "simulated:").write(state)
    monkeypatch.setitem(os.environ, "GAVEL_WINDOW_DAYZ", "3")
    assert main(["list"], state) == 2
    assert "did you mean GAVEL_WINDOW_DAYS?" in capsys.readouterr().err
