"""400 reloads of one worker: does it hold more memory, descriptors or threads after them than after the first ten?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.serving import ours
from benchmarks.serving.answers import send
from benchmarks.serving.material import Material, Releases
from benchmarks.serving.process import Footprint, footprint, free_port, running

RELOADS, SETTLED, EVERY = 400, 10, 50
KEPT = 3  # releases that stay in the store


def measure(material: Material, scratch: Path, seconds: float, rounds: int) -> dict[str, Any]:
    """``seconds`` and ``rounds`` do not matter here: reloads are counted."""
    del seconds, rounds
    releases, port = Releases(material, scratch / "store"), free_port()
    releases.point(releases.publish(1))
    found: dict[int, list[Footprint]] = {}
    with running(ours.launch(releases.root, port), port, scratch / "serving.log") as up:
        for reload in range(1, RELOADS + 1):
            _reload(material, releases, port, reload + 1)
            if reload in (SETTLED, RELOADS) or reload % EVERY == 0:
                found[reload] = [footprint(pid) for pid in up.family()]
    return _figures(found)


def _reload(material: Material, releases: Releases, port: int, version: int) -> None:
    releases.point(releases.publish(version))
    releases.remove(version - KEPT)
    status, _, body = send(port, ours.RELOAD)
    assert status == 200, body[:300]
    for at in range(3):
        status, _, body = send(port, ours.PREDICT.call(material.schema, material.rows[at : at + 64]))
        assert status == 200, body[:300]
        assert f'"version":{version},'.encode() in body.replace(b" ", b""), f"version {version} is not live"


def _figures(found: dict[int, list[Footprint]]) -> dict[str, Any]:
    worker = {reload: processes[0] for reload, processes in found.items()}
    early, late = worker[SETTLED], worker[RELOADS]
    return {
        "reloads": RELOADS,
        "rss_mb_after": {str(reload): each.rss_mb for reload, each in worker.items()},
        "rss_grows_times": round(late.rss_mb / early.rss_mb, 3),
        "all_processes_pss_mb_after": {
            str(reload): round(sum(p.pss_mb for p in ps), 1) for reload, ps in found.items()
        },
        "descriptors": [early.descriptors, late.descriptors],
        "threads": [early.threads, late.threads],
        "processes": [len(found[SETTLED]), len(found[RELOADS])],
    }
