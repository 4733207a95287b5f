"""Our server with and without gathering the rows of concurrent requests into one run; rounds of each in turn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.serving import ours
from benchmarks.serving.load import Load, run_wrk
from benchmarks.serving.material import Material, Releases
from benchmarks.serving.process import Launch, free_port, running
from benchmarks.serving.results import spread
from benchmarks.serving.rounds import ONE_CONNECTIONS, WARM_SECONDS

UNGATHERED = "benchmarks.serving.peers.ungathered"


def measure(material: Material, scratch: Path, seconds: float, rounds: int) -> dict[str, Any]:
    releases = Releases(material, scratch / "store")
    releases.point(releases.publish(0))
    found: dict[str, list[Load]] = {"gathered": [], "each_by_itself": []}
    for _ in range(rounds):
        for name, loads in found.items():
            port = free_port()
            launch = _launch(releases, port, gathered=name == "gathered")
            with running(launch, port, scratch / "serving.log"):
                calls = ours.calls(material, 1)
                run_wrk(port, calls, ONE_CONNECTIONS, WARM_SECONDS)
                loads.append(run_wrk(port, calls, ONE_CONNECTIONS, seconds))
    return _figures(found)


def _launch(releases: Releases, port: int, *, gathered: bool) -> Launch:
    launch = ours.launch(releases.root, port)
    return launch if gathered else replace(launch, command=[ours.PYTHON, "-m", UNGATHERED])


def _figures(found: dict[str, list[Load]]) -> dict[str, Any]:
    rates = {name: spread([load.rate for load in loads]) for name, loads in found.items()}
    waits = {f"{name}_p99_ms": spread([load.p99_ms for load in loads]) for name, loads in found.items()}
    gain = round(rates["gathered"]["median"] / rates["each_by_itself"]["median"], 3)
    bad = sum(load.not_2xx + load.broken for loads in found.values() for load in loads)
    requests = {f"{name}_requests_per_s": rate for name, rate in rates.items()}
    return {"connections": ONE_CONNECTIONS, **requests, **waits, "gain_times": gain, "not_2xx_or_broken": bad}
