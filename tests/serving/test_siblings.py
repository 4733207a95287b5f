"""serving/siblings.py"""

import asyncio
import json
import socket
from contextlib import suppress

import pytest

from pipeline.contract.status import Refusal, WorkerStatus
from serving.siblings import ALONE, Seat, ask, ask_line, listening

LONG = WorkerStatus("car_price", True, 3, "d" * 64, refusal=Refusal(4, "e" * 64, "why " * 50_000), index=1, pid=7)

LINE = json.dumps(LONG.to_dict()).encode()


@pytest.fixture
def seat(tmp_path):
    """The first of two workers. The folder is short, as a socket's address must be."""
    return Seat(0, 2, tmp_path)


async def asked(seat, answer, question="status", seconds=1.0):
    async with listening(seat.socket(1), answer):
        return await ask(seat, 1, question, "car_price", seconds)


def test_a_question_and_its_answer(seat):
    """However long the answer is; the question arrives as it was."""
    questions = []

    async def answer(question):
        questions.append(question)
        return LINE

    assert asyncio.run(asked(seat, answer, "look")) == LONG
    assert questions == ["look"]


def test_one_that_is_slow_is_not_waited_for(seat):
    """It is not ready, and the time it had is said."""

    async def answer(_):
        await asyncio.sleep(5)

    found = asyncio.run(asked(seat, answer, seconds=0.05))
    assert (found.ready, found.index, found.problem) == (False, 1, "there is no answer within 0.05 s")


def test_one_that_is_gone_has_no_answer(seat):
    """Without a socket, or with one that nobody listens at any more."""
    assert asyncio.run(ask(seat, 1, "status", "car_price", 1)).problem == "there is no answer"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(seat.socket(1)))
    assert asyncio.run(ask(seat, 1, "status", "car_price", 1)).problem == "there is no answer"


@pytest.mark.parametrize("line", [b"", b"nonsense\n", b"\xff\n", b"{", b"[" * (2 << 20)])
def test_nonsense_is_no_answer(seat, line):
    """Whatever comes back, who asked goes on."""

    async def talk(reader, writer):
        await reader.readline()
        writer.write(line)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def both():
        async with await asyncio.start_unix_server(talk, seat.socket(1)):
            return await ask(seat, 1, "probe", "car_price", 1)

    assert asyncio.run(both()).problem == "there is no answer"


def test_a_line_is_handed_on_as_it_is(seat):
    """Also one of some megabytes; who does not answer has none."""
    line = b"[" + b"1," * (2 << 20) + b"1]"

    async def answer(_):
        return line

    async def both():
        async with listening(seat.socket(1), answer):
            found = await ask_line(seat, 1, "pairs", 5)
        return found, await ask_line(seat, 1, "pairs", 5)

    assert asyncio.run(both()) == (line + b"\n", None)


def test_the_socket_of_a_dead_worker_is_replaced(seat):
    """Its successor has the same seat."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(seat.socket(1)))

    async def answer(_):
        return LINE

    assert asyncio.run(asked(seat, answer)) == LONG


def test_who_sits_alone_has_no_siblings():
    """One worker asks nobody."""
    assert ALONE.siblings == []
    assert Seat(1, 3).siblings == [0, 2]
