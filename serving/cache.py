"""Answers that were given before. It sits before the runner; without a store behind it there is none.

A key is made of the release's digest and the row as the model sees it, so a reload needs no flush. An entry carries
a checksum over key and answer: what does not fit, whoever wrote it, counts as not there. A store that fails is left
alone for a while, and the model answers.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections.abc import Mapping, Sequence
from hashlib import blake2b

import msgspec
import numpy as np

from serving import metrics
from serving.batch import Batch
from serving.cache_stores import WAIT_SECONDS, CacheStore, open_cache_store
from serving.release import AnswerTable, LoadedRelease
from serving.runner import Runner
from serving.settings import Settings

log = logging.getLogger(__name__)

PAUSE_SECONDS = 2.0
KEY_BYTES, SUM_BYTES = 18, 8
Found = dict[int, tuple[float, ...]]


class CachedRunner(Runner):
    """A runner that asks ``store`` first and tells it afterwards."""

    def __init__(self, max_waiting: int, store: CacheStore) -> None:
        super().__init__(max_waiting)
        self._store = store
        self._paused_until = 0.0

    async def run(self, release: LoadedRelease, batch: Batch) -> AnswerTable:
        if time.monotonic() < self._paused_until:
            return await super().run(release, batch)
        keys = row_keys(release.digest, batch)
        found = await self._read(keys, len(release.schema.outputs))
        metrics.CACHE.labels("hit").inc(len(found))
        metrics.CACHE.labels("miss").inc(batch.count - len(found))
        if not found:
            table = await super().run(release, batch)
            await self._write(keys, table)
            return table
        return await self._complete(release, batch, keys, found)

    async def _complete(self, release: LoadedRelease, batch: Batch, keys: Sequence[bytes], found: Found) -> AnswerTable:
        """The answers found, and those of the other rows from the model."""
        table = np.empty((batch.count, len(release.schema.outputs)))
        table[list(found)] = list(found.values())
        missing = [row for row in range(batch.count) if row not in found]
        if missing:
            table[missing] = fresh = await super().run(release, batch.only(missing))
            await self._write([keys[row] for row in missing], fresh)
        return table

    async def _read(self, keys: Sequence[bytes], width: int) -> Found:
        try:
            async with asyncio.timeout(2 * WAIT_SECONDS):
                values = await self._store.read(keys)
        except Exception as error:  # noqa: BLE001  whatever it is, the model can answer
            self._pause(error)
            return {}
        answers = [unpack(key, value, width) for key, value in zip(keys, values, strict=True)]
        return {row: answer for row, answer in enumerate(answers) if answer is not None}

    async def _write(self, keys: Sequence[bytes], table: AnswerTable) -> None:
        if time.monotonic() < self._paused_until:
            return
        entries: Mapping[bytes, bytes] = {
            key: pack(key, answer) for key, answer in zip(keys, table.tolist(), strict=True)
        }
        try:
            async with asyncio.timeout(2 * WAIT_SECONDS):
                await self._store.write(entries)
        except Exception as error:  # noqa: BLE001  the answer is there all the same
            self._pause(error)

    def _pause(self, error: Exception) -> None:
        self._paused_until = time.monotonic() + PAUSE_SECONDS
        metrics.CACHE.labels("error").inc()
        log.warning("the cache failed; it is left alone for a while", extra={"fields": {"error": repr(error)}})


def open_runner(settings: Settings) -> Runner:
    """The runner with the cache of the settings, or with none. Raises ``SettingsInvalid``."""
    store = open_cache_store(settings.cache, settings.cache_entries)
    return Runner(settings.max_waiting) if store is None else CachedRunner(settings.max_waiting, store)


def row_keys(digest: str, batch: Batch) -> list[bytes]:
    """A key for each row: text, so that every store takes it."""
    encode = msgspec.msgpack.Encoder().encode
    salt = digest.encode()
    return [blake2b(encode(row), key=salt, digest_size=KEY_BYTES).hexdigest().encode() for row in batch.rows()]


def pack(key: bytes, answer: Sequence[float]) -> bytes:
    payload = struct.pack(f"<{len(answer)}d", *answer)
    return _sum(key, payload) + payload


def unpack(key: bytes, value: bytes | None, width: int) -> tuple[float, ...] | None:
    """The answer in an entry, ``None`` when it is not a whole answer to this row by this release."""
    if type(value) is not bytes or len(value) != SUM_BYTES + 8 * width:
        return None
    payload = value[SUM_BYTES:]
    return struct.unpack(f"<{width}d", payload) if _sum(key, payload) == value[:SUM_BYTES] else None


def _sum(key: bytes, payload: bytes) -> bytes:
    return blake2b(payload, key=key, digest_size=SUM_BYTES).digest()
