"""Pairs of answers to one row, the champion's and the shadow's: a fair sample of all, and the worst. No thread here."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.contract.schema import Schema
from serving.batch import Batch
from serving.release import AnswerTable

SAMPLE, WORST = 1_000, 50


class Pair(msgspec.Struct, frozen=True):
    """A row by column, null where a value is not known, and both answers to it by output."""

    row: dict[str, Any]
    champion: dict[str, float]
    shadow: dict[str, float]
    at: str


class Pairs:
    """Every row that is added has the same chance to be in the sample (reservoir sampling: Vitter 1985, algorithm R).

    The worst are those whose first outputs lie farthest apart.
    """

    def __init__(self, schema: Schema, outputs: Sequence[str], sample: int = SAMPLE, worst: int = WORST) -> None:
        self._schema, self._outputs = schema, outputs
        self._most, self._most_worst = sample, worst
        self._sample: list[Pair] = []
        self._worst: list[tuple[float, int, Pair]] = []
        self._seen = 0
        self._random = np.random.default_rng()
        self._lock = threading.Lock()

    def add(self, batch: Batch, champion: AnswerTable, shadow: npt.NDArray[np.float64]) -> None:
        """Answers to the rows of ``batch``, all of them finite; the first output is the one that is compared."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        apart = np.abs(champion[:, 0] - shadow[:, 0])
        with self._lock:
            for row, place in self._places(batch.count):
                self._put(place, self._pair(batch, champion, shadow, row, at))
            least = self._worst[0][0] if len(self._worst) >= self._most_worst else -1.0
            for row in np.argsort(-apart, kind="stable")[: self._most_worst].tolist():
                if apart[row] > least:
                    item = (float(apart[row]), self._seen + row, self._pair(batch, champion, shadow, row, at))
                    heapq.heappush(self._worst, item)
            while len(self._worst) > self._most_worst:
                heapq.heappop(self._worst)
            self._seen += batch.count

    def _places(self, count: int) -> list[tuple[int, int]]:
        """Which of the next rows come into the sample, and where."""
        drawn = self._random.integers(0, np.arange(self._seen + 1, self._seen + count + 1)).tolist()
        free = max(0, self._most - self._seen)  # until the sample is full, every row comes to its end
        return [
            (row, self._seen + row if row < free else place)
            for row, place in enumerate(drawn)
            if row < free or place < self._most
        ]

    def _put(self, place: int, pair: Pair) -> None:
        if place < len(self._sample):
            self._sample[place] = pair
        else:
            self._sample.append(pair)

    def _pair(self, batch: Batch, champion: AnswerTable, shadow: AnswerTable, row: int, at: str) -> Pair:
        values = batch.only([row]).rows().__next__()
        named = zip(self._schema.inputs, values, strict=True)
        return Pair(
            {column.name: None if value != value or value == "" else value for column, value in named},  # noqa: PLR0124
            dict(zip(self._outputs, champion[row].tolist(), strict=True)),
            dict(zip(self._outputs, shadow[row].tolist(), strict=True)),
            at,
        )

    def kept(self) -> tuple[int, list[Pair], list[Pair]]:
        """How many rows there were, the sample, and the worst, worst first."""
        with self._lock:
            return self._seen, list(self._sample), [pair for _, _, pair in sorted(self._worst, reverse=True)]
