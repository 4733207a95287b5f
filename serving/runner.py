"""Runs batches on a release: small ones that arrive together in one go, large ones in a thread, never too many.

One onnxruntime run of 16 rows takes a third of the time of 16 runs of one row, so rows of requests that are ready
in the same turn of the event loop share a run; nobody waits for others to come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from serving.batch import Batch, gathered
from serving.errors import Overloaded
from serving.release import AnswerTable, LoadedRelease

INLINE_ROWS = 64  # more would hold the event loop for longer than some two milliseconds


@dataclass(frozen=True, slots=True)
class Waiting:
    """A small batch and who waits for its answers."""

    release: LoadedRelease
    batch: Batch
    answers: asyncio.Future[AnswerTable]


class Runner:
    """What all doors run their batches on. It belongs to one event loop."""

    def __init__(self, max_waiting: int, *, gather: bool = True) -> None:
        self._max_waiting = max_waiting
        self._most_rows = INLINE_ROWS if gather else 1
        self._waiting: list[Waiting] = []
        self.under_way = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one request until it is answered. Raises ``Overloaded`` when there is none."""
        if self.under_way >= self._max_waiting:
            raise Overloaded(f"{self._max_waiting} requests are under way here; try again in a moment")
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    async def run(self, release: LoadedRelease, batch: Batch) -> AnswerTable:
        """The answers to a batch, (rows, outputs); they may be NaN or infinite."""
        if batch.count > INLINE_ROWS:
            return await run_in_threadpool(release.run, batch)
        return await self._in_company(release, batch)

    def _in_company(self, release: LoadedRelease, batch: Batch) -> asyncio.Future[AnswerTable]:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._run_waiting)
        answers: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(Waiting(release, batch, answers))
        return answers

    def _run_waiting(self) -> None:
        """One run; when more wait, they come after whatever else the event loop has to do."""
        together = self._take()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._run_waiting)
        _run(together)

    def _take(self) -> list[Waiting]:
        """The first who wait, as many as fit into one run of one release."""
        release, rows, count = self._waiting[0].release, 0, 0
        for one in self._waiting:
            rows += one.batch.count
            if count and (rows > self._most_rows or one.release is not release):
                break
            count += 1
        together, self._waiting = self._waiting[:count], self._waiting[count:]
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
