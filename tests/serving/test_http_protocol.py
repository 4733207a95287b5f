"""serving/http_protocol.py"""

import asyncio

from serving.http_protocol import Gathered


class Wire:
    """A transport that notes what reaches it."""

    def __init__(self):
        self.writes, self.closed = [], False

    def write(self, data):
        self.writes.append(data)

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed


def run(use):
    async def turn():
        wire = Wire()
        use(Gathered(wire, asyncio.get_running_loop()))
        before = list(wire.writes)
        await asyncio.sleep(0)
        return before, wire

    return asyncio.run(turn())


def test_head_and_body_of_an_answer_are_one_write():
    """What is written in one turn of the event loop goes out together, in its order, once the turn is over."""

    def use(transport):
        transport.write(b"head")
        transport.write(b"body")

    before, wire = run(use)
    assert (before, wire.writes) == ([], [b"headbody"])


def test_nothing_is_lost_when_the_connection_is_closed_at_once():
    """An answer with connection: close is written before the end, and nothing comes after it."""

    def use(transport):
        transport.write(b"answer")
        transport.close()

    before, wire = run(use)
    assert (before, wire.writes, wire.closed) == ([b"answer"], [b"answer"], True)


def test_everything_else_is_the_transports_own():
    """uvicorn asks it for addresses, TLS and flow control."""
    assert run(lambda transport: transport.is_closing())[1].closed is False
