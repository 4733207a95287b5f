"""Runs on the shadow what the champion has answered, off the way of requests, and keeps both answers.

A thread of its own takes what was answered from a short queue, and rests three times as long as each run took. What
does not fit into the queue is dropped and counted. A shadow that fails, answers nonsense or hangs disturbs nobody: its
thread is left behind. Not here: which pairs are kept (``pairs.py``).
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from typing import NamedTuple

import numpy as np

from pipeline.contract.column import Values
from pipeline.contract.schema import Schema
from serving.batch import Batch
from serving.pairs import Pairs
from serving.release import AnswerTable, LoadedRelease
from serving.tally import Tally

log = logging.getLogger(__name__)

MAX_REQUESTS, MAX_ROWS = 256, 8_192  # that wait
# At most a quarter of one processor. No lower priority of the system instead: whoever holds Python's lock and is not
# given a processor holds up the requests of the whole process.
REST = 3.0
LONGEST_REST_SECONDS = 1.0


class Answered(NamedTuple):
    """Rows and the champion's answers to them."""

    batch: Batch
    answers: AnswerTable


class Shadow:
    """A release that answers beside ``champion`` for nobody to see. ``begin`` starts it, ``end`` ends it."""

    def __init__(self, champion: LoadedRelease, release: LoadedRelease) -> None:
        self.champion, self.release = champion, release
        self.tally = Tally("shadow", release)
        both = [name for name in champion.schema.outputs if name in release.schema.outputs]
        self._outputs = [champion.schema.outputs.index(name) for name in both]
        self._own_outputs = [release.schema.outputs.index(name) for name in both]
        self._sources = _sources(champion.schema, release.schema)
        self.pairs = Pairs(champion.schema, both)
        self._queue: deque[Answered] = deque()
        self._rows_in = self._rows_out = 0  # each has one writer
        self._wake = threading.Event()
        self._ended = False

    def begin(self) -> None:
        # a daemon: a run that hangs in native code must not keep the process alive
        threading.Thread(target=self._work, name="shadow", daemon=True).start()

    def end(self) -> None:
        """What waits is not answered any more."""
        self._ended = True
        self._wake.set()

    def put(self, batch: Batch, answers: AnswerTable) -> None:
        """Something was answered. This is all that a request does for the shadow; no lock, as nobody may wait."""
        waiting = self._rows_in - self._rows_out
        if len(self._queue) >= MAX_REQUESTS or (waiting and waiting + batch.count > MAX_ROWS):
            self.tally.dropped()
            return
        self._rows_in += batch.count
        self._queue.append(Answered(batch, answers))
        self._wake.set()

    def _work(self) -> None:
        while not self._ended:
            self._wake.wait()
            self._wake.clear()
            while not self._ended and self._queue:
                try:
                    time.sleep(min(REST * self.answer_next(), LONGEST_REST_SECONDS))
                except Exception:  # a defect here costs one pair
                    log.exception("the answers of the shadow could not be kept")

    def answer_next(self) -> float:
        """Answer the first request that waits. Returns the seconds that it took."""
        batch, answers = self._queue.popleft()
        self._rows_out += batch.count
        started = time.perf_counter()
        try:
            own = self.release.run(self._translated(batch))
        except Exception as error:  # noqa: BLE001  whatever it is, it is one more error of the shadow
            seconds = time.perf_counter() - started
            self._failed(error, seconds)
        else:
            seconds = time.perf_counter() - started
            self.tally.answered(own, seconds)
            self._keep(batch, answers[:, self._outputs], own[:, self._own_outputs])
        return seconds

    def _failed(self, error: Exception, seconds: float) -> None:
        if not self.tally.errors:
            log.warning(f"the shadow, version {self.release.version}, fails: {type(error).__name__}: {error}")
        self.tally.failed(error, seconds)

    def _keep(self, batch: Batch, champion: AnswerTable, shadow: AnswerTable) -> None:
        good = np.isfinite(champion).all(axis=1) & np.isfinite(shadow).all(axis=1)
        if not good.all():
            rows = np.flatnonzero(good).tolist()
            batch, champion, shadow = batch.only(rows), champion[rows], shadow[rows]
        if batch.count and self._outputs:
            self.pairs.add(batch, champion, shadow)

    def _translated(self, batch: Batch) -> Batch:
        """The rows as the shadow takes them: its columns by name; what requests do not have is not known."""
        columns: list[Values] = []
        for source, missing in self._sources:
            columns.append([missing] * batch.count if source is None else batch.columns[source])
        return Batch(columns, batch.count)


def _sources(given: Schema, wanted: Schema) -> list[tuple[int | None, float | str]]:
    """For each wanted column where it is among the given ones, if it is, and what stands for a value not known."""
    places = {(column.name, column.kind): place for place, column in enumerate(given.inputs)}
    return [
        (places.get((column.name, column.kind)), math.nan if column.kind == "numeric" else "")
        for column in wanted.inputs
    ]
