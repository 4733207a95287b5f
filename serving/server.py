"""The socket, the signals, and how the process ends. What is served is ``app.py``'s business."""

from __future__ import annotations

import signal
import socket
import time
from types import FrameType

import uvicorn
from serving.app import PriceApp

from serving.errors import SettingsInvalid
from serving.settings import Settings

GRACEFUL_SECONDS = 10


class DrainingServer(uvicorn.Server):
    """On SIGTERM it is not ready any more but keeps answering for ``drain_seconds``, then stops.

    uvicorn by itself cuts connections that are kept alive. A second signal, or Ctrl-C, stops at once.
    """

    def __init__(self, app: PriceApp, settings: Settings) -> None:
        # our log has one line where something happens, not one a request
        config = uvicorn.Config(
            app, access_log=False, log_config=None, server_header=False, timeout_graceful_shutdown=GRACEFUL_SECONDS
        )
        super().__init__(config)
        self._probe = app.state.service.probe
        self._drain_seconds = settings.drain_seconds
        self._end_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal. The parent's method would make the process die of it after it has stopped well."""
        del frame
        if self.should_exit:
            self.force_exit = True
        elif sig == signal.SIGTERM and self._end_at is None:
            self._probe.drain()
            self._end_at = time.monotonic() + self._drain_seconds
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        if self._end_at is not None and time.monotonic() >= self._end_at:
            self.should_exit = True
        return await super().on_tick(counter)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``SettingsInvalid`` when the address is taken or is not of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsInvalid(
            f"cannot listen on {host} port {port}: {reason}; set SERVING_HOST, SERVING_PORT"
        ) from error
