"""Runs batches on a release: small ones that arrive together in one go, large ones in a thread, never too many.

One onnxruntime run of 16 rows takes a third of the time of 16 runs of one row, so rows of requests that are ready
in the same turn of the event loop share a run; nobody waits for others to come.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool

from serving.batch import Batch, gathered
from serving.errors import Overloaded
from serving.release import AnswerTable, LoadedRelease

INLINE_ROWS = 64  # more would hold the event loop for longer than some two milliseconds


class Waiting(NamedTuple):
    """A small batch and who waits for its answers."""

    release: LoadedRelease
    batch: Batch
    answers: asyncio.Future[AnswerTable]


class Place:
    """Counts who is under way; one object for all, because every request enters it."""

    def __init__(self, most: int) -> None:
        self._most, self.taken = most, 0

    def __enter__(self) -> None:
        if self.taken >= self._most:
            raise Overloaded(f"{self._most} requests are under way here; try again in a moment")
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        self.taken -= 1


class Runner:
    """What all doors run their batches on. It belongs to one event loop."""

    def __init__(self, max_waiting: int, *, gather: bool = True) -> None:
        self._most_rows = INLINE_ROWS if gather else 1
        self._waiting: list[Waiting] = []
        self._place = Place(max_waiting)

    def place(self) -> Place:
        """A place for one request until it is answered; entering it raises ``Overloaded`` when there is none."""
        return self._place

    async def run(self, release: LoadedRelease, batch: Batch) -> AnswerTable:
        """The answers to a batch, (rows, outputs); they may be NaN or infinite."""
        if batch.count > INLINE_ROWS:
            return await run_in_threadpool(release.run, batch)
        return await self._in_company(release, batch)

    def _in_company(self, release: LoadedRelease, batch: Batch) -> asyncio.Future[AnswerTable]:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._run_waiting, loop, 0)
        answers: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(Waiting(release, batch, answers))
        return answers

    def _run_waiting(self, loop: asyncio.AbstractEventLoop, seen: int) -> None:
        """One run, as soon as a turn of the event loop has brought nobody new; the others come in later turns."""
        if seen < len(self._waiting) < self._most_rows:
            loop.call_soon(self._run_waiting, loop, len(self._waiting))
            return
        together = self._take()
        if self._waiting:
            loop.call_soon(self._run_waiting, loop, 0)
        _run(together)

    def _take(self) -> list[Waiting]:
        """The first who waits and those who wait for the same release, as many as fit into one run."""
        release, rows = self._waiting[0].release, 0
        together: list[Waiting] = []
        others: list[Waiting] = []
        for one in self._waiting:
            if one.release is release and (not together or rows + one.batch.count <= self._most_rows):
                rows += one.batch.count
                together.append(one)
            else:
                others.append(one)
        self._waiting = others
        return together


def _run(together: list[Waiting]) -> None:
    try:
        table = together[0].release.run(gathered([one.batch for one in together]))
    except Exception as error:  # noqa: BLE001  it belongs to whoever waits
        if len(together) == 1:
            _fail(together[0], error)
        else:
            for one in together:  # so that it reaches only the one that it is about
                _run([one])
        return
    start = 0
    for one in together:
        if not one.answers.done():  # else the client went away
            one.answers.set_result(table[start : start + one.batch.count])
        start += one.batch.count


def _fail(one: Waiting, error: Exception) -> None:
    if not one.answers.done():
        one.answers.set_exception(error)
