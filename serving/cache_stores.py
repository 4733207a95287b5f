"""Where answers can be kept: in this process, in Redis or Valkey, in Memcached. Bytes by key; they may forget any time.

What the bytes are, and what happens when a store is away or brings rubbish, is ``cache.py``'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import urlsplit

import redis.asyncio
from cachetools import LRUCache
from pymemcache import PooledClient
from starlette.concurrency import run_in_threadpool

from serving.errors import SettingsInvalid

EXPIRE_SECONDS = 86_400
WAIT_SECONDS = 0.1  # a cache that takes longer than the model is of no use
PREFIX = b"gavel:"


class CacheStore(Protocol):
    """Bytes by key. Both methods raise whatever their library raises when the store is away."""

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]: ...

    async def write(self, entries: Mapping[bytes, bytes]) -> None: ...


class MemoryStore:
    """The newest ``size`` entries, in this process."""

    def __init__(self, size: int) -> None:
        self._entries: LRUCache[bytes, bytes] = LRUCache(size)

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return [self._entries.get(key) for key in keys]

    async def write(self, entries: Mapping[bytes, bytes]) -> None:
        for key, value in entries.items():
            self._entries[key] = value


class RedisStore:
    """A Redis or Valkey server. Give it a ``maxmemory`` and a policy to evict by."""

    def __init__(self, url: str) -> None:
        self._client = redis.asyncio.from_url(url, socket_timeout=WAIT_SECONDS, socket_connect_timeout=WAIT_SECONDS)

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        found: list[bytes | None] = await self._client.mget([PREFIX + key for key in keys])
        return found

    async def write(self, entries: Mapping[bytes, bytes]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for key, value in entries.items():
            pipeline.set(PREFIX + key, value, ex=EXPIRE_SECONDS)
        await pipeline.execute()


class MemcachedStore:
    """A Memcached server. Its client waits, so it does so in a thread."""

    def __init__(self, host: str, port: int) -> None:
        self._client = PooledClient((host, port), connect_timeout=WAIT_SECONDS, timeout=WAIT_SECONDS, max_pool_size=8)

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        found = await run_in_threadpool(self._client.get_many, [PREFIX + key for key in keys])
        return [found.get(PREFIX + key) for key in keys]

    async def write(self, entries: Mapping[bytes, bytes]) -> None:
        values = {PREFIX + key: value for key, value in entries.items()}
        await run_in_threadpool(self._client.set_many, values, expire=EXPIRE_SECONDS)


def open_cache_store(url: str, size: int) -> CacheStore | None:
    """The store that ``url`` names, ``None`` when it is empty. No connection is made yet.

    Raises:
        SettingsInvalid: ``url`` names no store that is known.
    """
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return MemoryStore(size)
    try:
        if parts.scheme in {"redis", "rediss"}:
            return RedisStore(url)
        if parts.scheme == "memcached" and parts.hostname:
            return MemcachedStore(parts.hostname, parts.port or 11211)
    except ValueError as error:
        raise SettingsInvalid(f"SERVING_CACHE cannot be read: {error}") from error
    raise SettingsInvalid("SERVING_CACHE must be memory:, redis://HOST:PORT or memcached://HOST:PORT")
