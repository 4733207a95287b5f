"""What the triggerer watches for the DAGs: a challenger's bake, and the alias in MLflow. No task waits meanwhile.

Airflow puts this folder on the path, so the triggerer finds the file under its bare name. Settings are read where a
trigger runs, so that no token is kept in Airflow's tables. Not here: what is judged (``pipeline/bake.py``) or follows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from pipeline.addresses import NoAddress, addresses
from pipeline.bake import Limits, Verdict, look, verdict
from pipeline.settings import Settings, read_settings
from pipeline.variant_counts import Held, Reading, parse_workers

ALIAS = "champion"
BAKE_SECONDS = 5.0  # between two looks at the replicas
ALIAS_SECONDS = 2.0  # between two looks at the alias; a move is looked at once more after
SURE_SECONDS = 1.0
AGAIN_SECONDS = 60.0  # a move that nobody has followed by then is told again
ANSWER_SECONDS = 5.0
GONE_LOOKS = 3  # in a row without the challenger on any replica


def _client(token: str = "") -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(headers=headers, timeout=ANSWER_SECONDS, trust_env=False)


@dataclass(frozen=True, slots=True)
class _Look:
    """What all replicas said: how many answered, and what those workers that have the challenger have counted."""

    answered: int
    readings: Mapping[str, Reading]


class BakeTrigger(BaseTrigger):
    """Ends at ``deadline`` (ISO time), at the first breach, or when the challenger is gone; tells a ``Verdict``.

    Started again by another triggerer it goes on: the deadline stands, and replicas count on by themselves.
    """

    def __init__(
        self, version: int, digest: str, deadline: str, limits: Mapping[str, Any], seconds: float = BAKE_SECONDS
    ) -> None:
        super().__init__()
        self.version, self.digest, self.deadline, self.limits, self.seconds = version, digest, deadline, limits, seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        state = {name: getattr(self, name) for name in ("version", "digest", "deadline", "seconds")}
        return "gavel_triggers.BakeTrigger", {**state, "limits": dict(self.limits)}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        settings, limits = read_settings(), Limits(**self.limits)
        async with _client(settings.push_token.get_secret_value()) as client:
            found = await self._watch(client, settings.serving_urls, limits)
        yield TriggerEvent(asdict(found))

    async def _watch(self, client: httpx.AsyncClient, urls: tuple[str, ...], limits: Limits) -> Verdict:
        held, end, gone = Held(), datetime.fromisoformat(self.deadline), 0
        while True:
            seen = await self._look(client, urls)
            held.put(seen.readings)
            gone = gone + 1 if seen.answered and not seen.readings else 0
            left = (end - datetime.now(UTC)).total_seconds()
            if left <= 0:
                return _last(held, seen, limits)
            if gone == GONE_LOOKS:
                return Verdict("gone", f"version {self.version} is not on trial any more: somebody has ended it")
            if breach := look(held.sum(), limits):
                return Verdict("breach", breach.text)
            await asyncio.sleep(min(self.seconds, left))

    async def _look(self, client: httpx.AsyncClient, configured: tuple[str, ...]) -> _Look:
        try:
            urls = await asyncio.to_thread(addresses, configured)
        except NoAddress as error:
            self.log.info("%s", error)
            return _Look(0, {})
        said = await asyncio.gather(*(self._ask(client, url) for url in urls))
        heard = [each for each in said if each is not None]
        return _Look(len(heard), {worker: reading for each in heard for worker, reading in each.items()})

    async def _ask(self, client: httpx.AsyncClient, url: str) -> dict[str, Reading] | None:
        """What those workers of the replica have counted that have the challenger; None when it does not answer."""
        try:
            response = await client.get(f"{url}/v1/variants")
            return parse_workers(response.raise_for_status().json(), self.digest)
        except (httpx.HTTPError, ValueError) as error:
            self.log.info("%s tells nothing: %r", url, error)
            return None


def _last(held: Held, seen: _Look, limits: Limits) -> Verdict:
    """The verdict at the end of the window. A replica that has gone silent may be so because of the challenger."""
    found = verdict(held.sum(), limits)
    if found.end == "good" and not seen.readings:
        return Verdict("few", "no replica tells any more how the challenger does")
    return found


class AliasTrigger(BaseEventTrigger):
    """Tells when the alias ``champion`` in MLflow is not where we put it, seen twice in a row; only a hint.

    While MLflow is away it keeps asking.
    """

    def __init__(
        self, seconds: float = ALIAS_SECONDS, sure: float = SURE_SECONDS, again: float = AGAIN_SECONDS
    ) -> None:
        super().__init__()
        self.seconds, self.sure, self.again = seconds, sure, again
        self._asks: tuple[str, str] | None = None  # known once the settings could be read

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "gavel_triggers.AliasTrigger", {"seconds": self.seconds, "sure": self.sure, "again": self.again}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        told, since = None, 0.0
        async with _client() as client:
            while True:
                moved = await self._moved(client)
                if moved is not None and (moved != told or time.monotonic() - since >= self.again):
                    since = time.monotonic()
                    yield TriggerEvent({"alias": moved[0], "ours": moved[1]})
                told = moved
                await asyncio.sleep(self.seconds)

    async def _moved(self, client: httpx.AsyncClient) -> tuple[str, str] | None:
        """Alias and tag, where they differ and still do a moment later."""
        first = await self._aliased(client)
        if first is None or first[0] == first[1]:
            return None
        await asyncio.sleep(self.sure)
        return first if await self._aliased(client) == first else None

    async def _aliased(self, client: httpx.AsyncClient) -> tuple[str, str] | None:
        """What the alias names and what we let it name last, "" for nothing; None when MLflow does not say."""
        try:
            if self._asks is None:
                self._asks = _address(read_settings())
            return await _read(client, *self._asks)
        except Exception as error:  # noqa: BLE001  a watcher that ends is not started again
            self.log.debug("MLflow does not tell the alias: %r", error)
            return None


def _address(settings: Settings) -> tuple[str, str]:
    """Where MLflow tells of a model, and the model's name."""
    from pipeline import datasets  # with numpy, which Airflow need not load to read a DAG

    address = f"{settings.mlflow_uri.rstrip('/')}/api/2.0/mlflow/registered-models/get"
    return address, datasets.load(settings.dataset).model_name


async def _read(client: httpx.AsyncClient, address: str, model: str) -> tuple[str, str]:
    response = await client.get(address, params={"name": model})
    found = response.raise_for_status().json()["registered_model"]
    aliases = {each["alias"]: str(each["version"]) for each in found.get("aliases", ())}
    tags = {each["key"]: str(each["value"]) for each in found.get("tags", ())}
    return aliases.get(ALIAS, ""), tags.get(f"gavel.{ALIAS}", "")
