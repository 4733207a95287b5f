"""What all workers of this replica serve together: each is asked, and one that does not answer is not ready.

Not here: how they are asked (``siblings.py``), how they are started and replaced (``workers.py``).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from starlette.concurrency import run_in_threadpool

from pipeline.contract.status import ReplicaStatus, WorkerStatus
from serving import readings
from serving.errors import NotReady
from serving.probe import Probe
from serving.reconciler import Reconciler
from serving.release import LoadedRelease
from serving.siblings import Question, Seat, ask, ask_line, listening
from serving.slot import Slot

ANSWER_SECONDS = 1.0
LINE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Replica:
    """This worker, on ``seat``, and its siblings. Every method asks all of them at the same time."""

    reconciler: Reconciler
    probe: Probe
    seat: Seat
    slot: Slot

    async def status(self) -> ReplicaStatus:
        return ReplicaStatus.of(await asyncio.gather(*self._ask_all("status", ANSWER_SECONDS)))

    async def look(self, seconds: float) -> tuple[ReplicaStatus, bool]:
        """The status after each worker has looked at the channel once; ``False`` when that takes longer."""
        looks = [asyncio.ensure_future(each) for each in self._ask_all("look", None)]
        _, late = await asyncio.wait(looks, timeout=seconds)
        for each in late:
            each.cancel()
        return (await self.status(), False) if late else (ReplicaStatus.of([each.result() for each in looks]), True)

    async def prove(self) -> LoadedRelease:
        """This worker's release, after each worker has made a real prediction. Raises ``NotReady`` with the reason."""
        release = self.probe.check()
        for worker in await asyncio.gather(*self._ask_all("probe", ANSWER_SECONDS)):
            if worker.problem:
                raise NotReady(f"worker {worker.index}: {worker.problem}")
        return release

    async def lines(self, question: Literal["variants", "pairs"]) -> list[bytes]:
        """What each worker that answers has counted, or kept, as one line of JSON; this worker's own first."""
        others = [ask_line(self.seat, each, question, LINE_SECONDS) for each in self.seat.siblings]
        found = await asyncio.gather(self.line(question), *others)
        return [each for each in found if each is not None]

    async def line(self, question: str) -> bytes:
        """What this worker says when a sibling asks."""
        if question == "variants":
            return readings.figures(self.slot)
        if question == "pairs":
            return await run_in_threadpool(readings.pairs, self.slot.beside)
        return json.dumps((await self.answer(question)).to_dict()).encode()

    def _ask_all(self, question: Question, seconds: float | None) -> list[Coroutine[Any, Any, WorkerStatus]]:
        """This worker's own answer first. ``seconds`` are for the siblings."""
        model = self.reconciler.status().model
        others = [ask(self.seat, each, question, model, seconds) for each in self.seat.siblings]
        return [self.answer(question), *others]

    async def answer(self, question: str) -> WorkerStatus:
        """What this worker says when it is asked."""
        problem = None
        if question == "look":
            await asyncio.wait([asyncio.wrap_future(self.reconciler.hint())])
        if question == "probe":
            try:
                self.probe.check()
            except NotReady as error:
                problem = str(error)
        own = self.reconciler.status().to_dict()
        return WorkerStatus.from_dict({**own, "index": self.seat.index, "pid": os.getpid(), "problem": problem})

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Answer the siblings meanwhile; who is alone has none."""
        if self.seat.count == 1:
            yield
            return
        async with listening(self.seat.socket(self.seat.index), self.line):
            yield
