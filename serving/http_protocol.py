"""uvicorn's HTTP protocol with a limit that it lacks: on what a request has beside its body (that is in ``body.py``).

Without it a header that never ends is kept in memory until there is none left.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_OVERHEAD_BYTES = 65_536  # one reading from the socket more may come before it is noticed


class LimitedProtocol(HttpToolsProtocol):
    """Counts the bytes since a head was complete or something of a body came: heads, trailers, chunk extensions."""

    _overhead = 0

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
