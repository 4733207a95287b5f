"""Clients that keep their connections and read every answer: whose price is it, of which version, newer than the last?

Plain asyncio and as much HTTP as is needed, so that a wrong byte is seen. Not here: what happens to the server.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.serving.formats import Call
from benchmarks.serving.material import STEP


@dataclass(frozen=True, slots=True)
class Question:
    """A request ready to be sent, and the prices of its rows by version 0."""

    request: bytes
    prices: Sequence[float]


@dataclass(frozen=True, slots=True)
class Answered:
    """One right answer: when it was asked and answered (monotonic seconds), and by which version."""

    asked: float
    answered: float
    version: int


@dataclass(slots=True)
class Seen:
    """What all clients saw. ``problems`` has the first few failures in words."""

    answered: list[Answered] = field(default_factory=list)
    failed: int = 0
    mixed: int = 0
    backwards: int = 0
    problems: list[str] = field(default_factory=list)

    def problem(self, text: str) -> None:
        self.problems = [*self.problems, text][:5]


async def ask(port: int, questions: Sequence[Question], digests: Mapping[int, str], seen: Seen, offset: int) -> None:
    """One client on one connection, question after question, until it is cancelled."""
    newest, at = 0, offset
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            seen.failed += 1
            seen.problem(f"no connection: {error}")
            await asyncio.sleep(0.05)
            continue
        try:
            newest = await _talk(reader, writer, questions, digests, seen, at, newest)
        except (OSError, EOFError, ValueError) as error:
            seen.failed += 1
            seen.problem(f"{type(error).__name__}: {error}")
        finally:
            writer.close()
        newest, at = 0, at + 1  # another connection may reach another worker


async def _talk(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    questions: Sequence[Question],
    digests: Mapping[int, str],
    seen: Seen,
    at: int,
    newest: int,
) -> int:
    while True:
        question = questions[at % len(questions)]
        at += 1
        start = time.monotonic()
        writer.write(question.request)
        status, body = await _answer(reader)
        end = time.monotonic()
        if status != 200:
            seen.failed += 1
            seen.problem(f"{status} {body[:200]!r}")
            continue
        document = json.loads(body)
        version = document["version"]
        if not _of_one_version(document, question, digests):
            seen.mixed += 1
            seen.problem(f"version {version} with other answers: {body[:200]!r}")
        if version < newest:
            seen.backwards += 1
            seen.problem(f"version {version} after {newest}")
        newest = max(newest, version)
        seen.answered.append(Answered(start, end, version))


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length:")[2].partition("\r\n")[0])
    return int(head.split(" ", 2)[1]), await reader.readexactly(length)


def _of_one_version(document: Mapping[str, object], question: Question, digests: Mapping[int, str]) -> bool:
    """Is the digest that of the version, and is each price the one that this version gives this row?"""
    version = document["version"]
    assert isinstance(version, int)
    prices = [row["price"] for row in document["predictions"]]  # type: ignore[attr-defined]
    right = [price + STEP * version for price in question.prices]
    same = len(prices) == len(right) and all(map(_close, prices, right))
    return document["digest"] == digests.get(version) and same


def _close(price: float, right: float) -> bool:
    return math.isclose(price, right, rel_tol=1e-9)


async def send(port: int, call: Call) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(call.to_bytes())
        return await _answer(reader)
    finally:
        writer.close()
