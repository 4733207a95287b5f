"""serving/server.py"""

import signal
import socket

import pytest

from serving.app import create_app
from serving.errors import SettingsInvalid
from serving.server import DrainingServer, bind
from serving.settings import Settings


def server(settings, drain_seconds):
    return DrainingServer(create_app(settings), Settings(store=settings.store, drain_seconds=drain_seconds))


def test_sigterm_drains_first(settings):
    """Not ready at once, still serving."""
    made = server(settings, 60)
    made.handle_exit(signal.SIGTERM, None)
    assert made._probe.draining
    assert not made.should_exit


def test_a_second_signal_stops_at_once(settings):
    """Whoever asks twice does not want to wait; whoever asks three times not at all."""
    made = server(settings, 60)
    for _ in range(2):
        made.handle_exit(signal.SIGTERM, None)
    assert (made.should_exit, made.force_exit) == (True, False)
    made.handle_exit(signal.SIGTERM, None)
    assert made.force_exit


def test_ctrl_c_does_not_drain(settings):
    """A person at the keyboard waits for nothing."""
    made = server(settings, 60)
    made.handle_exit(signal.SIGINT, None)
    assert made.should_exit


def test_the_drain_ends(settings):
    """After drain_seconds the next tick stops the server."""
    import asyncio

    made = server(settings, 0)
    made.handle_exit(signal.SIGTERM, None)
    assert asyncio.run(made.on_tick(1)) is True


def test_a_free_port_is_bound():
    """Port 0 takes any."""
    with bind("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0


def test_a_taken_port_is_one_clear_sentence():
    """The message says which address and which settings to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsInvalid, match=f"cannot listen on 127.0.0.1 port {port}: .*SERVING_PORT"):
            bind("127.0.0.1", port)


def test_a_foreign_address_is_one_clear_sentence():
    """An address that this machine does not have is named."""
    with pytest.raises(SettingsInvalid, match=r"cannot listen on 192\.0\.2\.1 port 0"):
        bind("192.0.2.1", 0)
