"""uvicorn's HTTP protocol with two things that it lacks: a limit on what a request has beside its body, and one write.

Without the limit a header that never ends is kept in memory until there is none left (for bodies: ``body.py``). uvicorn
writes head and body of an answer one after the other, each a call of the system: a tenth of the time of a request.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_OVERHEAD_BYTES = 65_536  # one reading from the socket more may come before it is noticed


class Gathered:
    """A transport that sends what is written within one turn of the event loop in one go."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._send)
        self._held.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        held, self._held = self._held, []
        if held and not self._transport.is_closing():
            self._transport.write(b"".join(held))


class LimitedProtocol(HttpToolsProtocol):
    """Counts the bytes since a head was complete or something of a body came: heads, trailers, chunk extensions."""

    _overhead = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Gathered(transport, self.loop))  # type: ignore[arg-type]

    def on_headers_complete(self) -> None:
        self._overhead = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._overhead = 0
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        self._overhead += len(data)
        super().data_received(data)
        if self._overhead > MAX_OVERHEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")
