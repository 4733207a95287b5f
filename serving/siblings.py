"""How the workers of one replica ask each other: one word, one line of JSON back, over a UNIX socket of each worker.

Not here: what a worker answers, and what the answers of all mean together (``replica.py``).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.contract.status import WorkerStatus

Question = Literal["status", "look", "probe", "variants", "pairs"]
Answer = Callable[[str], Awaitable[bytes]]

LONGEST_LINE = 1 << 25


@dataclass(frozen=True, slots=True)
class Seat:
    """The place of a worker in its replica of ``count`` workers, whose sockets are in ``folder``. By default alone."""

    index: int = 0
    count: int = 1
    folder: Path = Path()

    @property
    def siblings(self) -> list[int]:
        return [each for each in range(self.count) if each != self.index]

    def socket(self, index: int) -> Path:
        return self.folder / f"worker-{index}.sock"


ALONE = Seat()


@asynccontextmanager
async def listening(path: Path, answer: Answer) -> AsyncIterator[None]:
    """Answer siblings at ``path`` meanwhile. A socket that a dead worker left there is replaced."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):  # who asked may have gone
            async with _closing(writer):
                writer.write(await answer((await reader.readline()).decode().strip()) + b"\n")
                await writer.drain()

    async with await asyncio.start_unix_server(connected, path):
        yield


async def ask(seat: Seat, index: int, question: Question, model: str, seconds: float | None) -> WorkerStatus:
    """The status of the worker ``index``. One that does not answer, within ``seconds``, is not ready: a problem."""
    try:
        async with asyncio.timeout(seconds):
            return WorkerStatus.from_dict(json.loads(await _ask(seat.socket(index), question)))
    except TimeoutError:
        problem = f"there is no answer within {seconds:g} s"
    except (OSError, ValueError, RecursionError):
        problem = "there is no answer"
    return WorkerStatus(model, ready=False, index=index, problem=problem)


async def ask_line(seat: Seat, index: int, question: Question, seconds: float) -> bytes | None:
    """The line of JSON that the worker ``index`` answers; ``None`` from one that does not, within ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            return await _ask(seat.socket(index), question) or None
    except (TimeoutError, OSError, ValueError):
        return None


async def _ask(path: Path, question: Question) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST_LINE)
    async with _closing(writer):
        writer.write(question.encode() + b"\n")
        return await reader.readline()


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.close()
        await writer.wait_closed()
