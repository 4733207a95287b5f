"""50 reloads of two workers under 16 clients: is an answer lost, mixed or old, and how long does anybody wait?

All answers are read and held against what their version must say. The server has both cores here: two workers on
one would only wait for each other.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.serving import ours
from benchmarks.serving.clients import Answered, Question, Seen, ask, send
from benchmarks.serving.material import Material, Releases
from benchmarks.serving.process import Running, connections, free_port, running
from benchmarks.serving.results import spread
from pipeline.contract.channel import Release

RELOADS, CLIENTS, REQUESTS, WORKERS = 50, 16, 40_000, 2
ROWS_A_REQUEST = (1, 2, 3)
LIMIT_SECONDS = 120.0
PAUSE = 0.1


def measure(material: Material, scratch: Path, seconds: float, rounds: int) -> dict[str, Any]:
    """``seconds`` and ``rounds`` do not matter here: it ends when enough was asked and reloaded."""
    del seconds, rounds
    releases = Releases(material, scratch / "store")
    versions = [releases.publish(version) for version in range(1, RELOADS + 2)]
    releases.point(versions[0])
    port = free_port()
    launch = ours.launch(releases.root, port, workers=WORKERS, cores="0,1")
    with running(launch, port, scratch / "serving.log") as up:
        return asyncio.run(_reloads(material, releases, versions, up))


async def _reloads(material: Material, releases: Releases, versions: list[Release], up: Running) -> dict[str, Any]:
    seen, questions = Seen(), _questions(material)
    digests = {release.version: release.digest for release in versions}
    clients = []
    for i in range(CLIENTS):
        clients.append(asyncio.create_task(ask(up.port, questions, digests, seen, i * 37)))
        await asyncio.sleep(0.05)  # all at once would all be taken by whichever worker wakes first
    spread_over = [count for count in (connections(pid, up.port) for pid in up.family()) if count]
    await asyncio.sleep(1)
    first, pushes, replies = len(seen.answered), [], []
    for release in versions[1:]:
        pushed = time.monotonic()
        releases.point(release)
        status, body = await send(up.port, ours.RELOAD)
        assert status == 200, body[:300]
        pushes.append((pushed, release.version))
        replies.append(time.monotonic() - pushed)
        await _seen_by_all(seen, release.version)
        await asyncio.sleep(PAUSE)
    end = time.monotonic() + LIMIT_SECONDS
    while len(seen.answered) < REQUESTS and time.monotonic() < end:  # noqa: ASYNC110  the clients count, not we
        await asyncio.sleep(0.1)
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    return {"connections_by_worker": spread_over, **_figures(seen, seen.answered[first:], pushes, replies)}


async def _seen_by_all(seen: Seen, version: int) -> None:
    """Wait until the last few answers of everybody are of this version."""
    end = time.monotonic() + 10
    while any(a.version != version for a in seen.answered[-8 * CLIENTS :]):
        assert time.monotonic() < end, f"version {version} was not there 10 s after its push: {seen.problems}"
        await asyncio.sleep(0.01)


def _questions(material: Material) -> list[Question]:
    sizes, questions, at = itertools.cycle(ROWS_A_REQUEST), [], 0
    while at < len(material.rows) - max(ROWS_A_REQUEST):
        size = next(sizes)
        call = ours.PREDICT.call(material.schema, material.rows[at : at + size])
        questions.append(Question(call.to_bytes(), material.prices[at : at + size]))
        at += size
    return questions


def _figures(
    seen: Seen, during: list[Answered], pushes: list[tuple[float, int]], replies: list[float]
) -> dict[str, Any]:
    waits = sorted((a.answered - a.asked) * 1_000 for a in during)
    visible = [1_000 * (_last_old(seen, version) - pushed) for pushed, version in pushes]
    return {
        "clients": CLIENTS,
        "workers": WORKERS,
        "reloads": len(pushes),
        "requests": len(seen.answered) + seen.failed,
        "failed": seen.failed,
        "mixed": seen.mixed,
        "backwards": seen.backwards,
        "problems": seen.problems,
        "p50_ms": round(statistics.median(waits), 2),
        "p99_ms": round(waits[int(0.99 * len(waits))], 2),
        "max_ms": round(waits[-1], 2),
        "requests_per_s": round(len(during) / (during[-1].answered - during[0].asked)),
        # from the push to the last answer of the version before, on any connection
        "push_to_visible_ms": {**spread(visible), "p95": round(sorted(visible)[int(0.95 * len(visible))], 1)},
        "push_to_its_reply_ms": spread([1_000 * reply for reply in replies]),
    }


def _last_old(seen: Seen, version: int) -> float:
    """When the last answer of a version before this one came."""
    return max(answer.answered for answer in seen.answered if answer.version < version)
