"""The socket, the signals, and how the process ends. What is served is ``app.py``'s business."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from serving.errors import SettingsInvalid
from serving.http_protocol import LimitedProtocol
from serving.settings import Settings
from serving.tls import tls_files

if TYPE_CHECKING:  # who binds the port must not import everything for it
    from serving.app import PriceApp

GRACEFUL_SECONDS = 10
BACKLOG = 2048
# Longer than the minute after which most proxies let an idle connection go: whoever closes first cuts a request off.
KEEP_ALIVE_SECONDS = 75
# For the request of a client that connected just before the end.
LAST_REQUEST_SECONDS = 0.5
# A worker among several drains until its parent says stop; this much longer when it alone was told to end.
ALONE_SECONDS = 2.0
SETTLE_SECONDS = 0.1
SO_ATTACH_FILTER = 26
# As BPF: load the byte of the TCP flags, keep SYN of it; if that is set take nothing of the packet, else all.
DROP_SYN = ((0x30, 0, 0, 13), (0x54, 0, 0, 2), (0x15, 0, 1, 2), (6, 0, 0, 0), (6, 0, 0, 0xFFFFFFFF))


class DrainingServer(uvicorn.Server):
    """On SIGTERM it is not ready any more but keeps answering for ``drain_seconds``, then stops.

    uvicorn by itself cuts connections that are kept alive. A second signal, or Ctrl-C, stops at once.
    """

    def __init__(self, app: PriceApp, settings: Settings) -> None:
        tls = tls_files(settings)
        # our log has one line where something happens, not one a request
        config = uvicorn.Config(
            app,
            http=LimitedProtocol,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # a client is who is connected, not who a header says
            ws="none",
            lifespan="on",
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=tls.key if tls else None,
        )
        super().__init__(config)
        self._probe = app.state.service.probe
        self._shared = settings.workers > 1
        self._drain_seconds = settings.drain_seconds + (ALONE_SECONDS if self._shared else 0)
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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer whoever has connected by now, then end as uvicorn does, which would cut them off."""
        if not self._shared:  # else the parent has done it
            for listener in sockets or []:
                turn_away(listener)
            await asyncio.sleep(SETTLE_SECONDS)
        connected = [found for listener in sockets or [] for found in self._close(listener)]
        end = time.monotonic() + LAST_REQUEST_SECONDS
        joining = [asyncio.ensure_future(self._join(connection)) for connection in connected]
        if joining:
            await asyncio.wait(joining, timeout=LAST_REQUEST_SECONDS)
        # uvicorn tells nobody when a request comes
        while self._awaited() and not self.force_exit and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    def _close(self, listener: socket.socket) -> list[socket.socket]:
        """Close the socket. Returns the connections that waited in its queue."""
        with listener.dup() as queue:
            for server in self.servers:
                server.close()
            listener.close()
            return list(_waiting(queue))

    async def _join(self, connection: socket.socket) -> None:
        config, state = self.config, self.lifespan.state

        def protocol() -> asyncio.Protocol:
            return config.http_protocol_class(config, self.server_state, state)  # type: ignore[call-arg]

        await asyncio.get_running_loop().connect_accepted_socket(protocol, connection, ssl=config.ssl)

    def _awaited(self) -> bool:
        """Has a connection not brought its first request yet? uvicorn would cut it."""
        return any(getattr(each, "cycle", self) is None for each in self.server_state.connections)


def _waiting(queue: socket.socket) -> Iterator[socket.socket]:
    queue.setblocking(False)
    with suppress(OSError):  # BlockingIOError: nobody is left
        while True:
            yield queue.accept()[0]


def turn_away(listener: socket.socket) -> None:
    """Let nobody connect to the socket from now on, in whichever process it is open. Only Linux can.

    A client that connects while the queue is emptied and the socket closed would be cut off with its request sent.
    Its first packet is dropped instead; a second later it tries again, and is refused. Wait ``SETTLE_SECONDS`` for
    those that are half connected.
    """
    if sys.platform == "linux":
        program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in DROP_SYN))
        with suppress(OSError):  # some containers forbid it; those few are cut off then
            listener.setsockopt(
                socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(DROP_SYN), ctypes.addressof(program))
            )


def bind(host: str, port: int, setting: str = "SERVING_PORT") -> socket.socket:
    """A listening socket. Raises ``SettingsInvalid`` when the address is taken or is not of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsInvalid(f"cannot listen on {host} port {port}: {reason}; set SERVING_HOST, {setting}") from error
