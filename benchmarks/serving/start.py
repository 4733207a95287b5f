"""How soon our server answers after it was started, and what its processes hold: with one worker and with two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.serving import ours
from benchmarks.serving.load import run_wrk
from benchmarks.serving.material import Material, Releases
from benchmarks.serving.process import Running, footprint, free_port, running
from benchmarks.serving.results import spread
from benchmarks.serving.rounds import MANY, MANY_CONNECTIONS, ONE_CONNECTIONS

STARTS = 5


def measure(material: Material, scratch: Path, seconds: float, rounds: int) -> dict[str, Any]:
    """``rounds`` does not matter here: a start is short, five of them are measured."""
    del rounds
    releases = Releases(material, scratch / "store")
    releases.point(releases.publish(0))
    return {f"workers_{count}": _starts(material, releases, count, seconds) for count in (1, 2)}


def _starts(material: Material, releases: Releases, workers: int, seconds: float) -> dict[str, Any]:
    starts, after = [], {}
    for _ in range(STARTS):
        port = free_port()
        launch = ours.launch(releases.root, port, workers=workers)
        with running(launch, port, releases.root.parent / "serving.log") as up:
            starts.append(up.seconds)
            if len(starts) == STARTS:
                after["after_start"] = _told(up)
                run_wrk(port, ours.calls(material, 1), ONE_CONNECTIONS, seconds)
                after["after_single_rows"] = _told(up)
                run_wrk(port, ours.calls(material, MANY), MANY_CONNECTIONS, seconds)
                after[f"after_{MANY}_rows_a_request"] = _told(up)
    return {"seconds_to_ready": spread(starts), **after}


def _told(up: Running) -> dict[str, Any]:
    """Resident and proportional megabytes of each process, and of all (proportional ones can be added up)."""
    processes = [footprint(pid) for pid in up.family()]
    return {
        "rss_mb": [each.rss_mb for each in processes],
        "pss_mb": [each.pss_mb for each in processes],
        "all_pss_mb": round(sum(each.pss_mb for each in processes), 1),
    }
