"""Throughput while the model is reloaded all the time, against that in quiet; rounds of each in turn, one core for all.

Once with a new version each second, as often as the channel is polled, and once with the next push as soon as the
last version is live: then loading and proving take all that they can get.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.serving import ours
from benchmarks.serving.answers import send
from benchmarks.serving.load import Load, run_wrk
from benchmarks.serving.material import Material, Releases
from benchmarks.serving.process import free_port, running
from benchmarks.serving.results import spread
from benchmarks.serving.rounds import ONE_CONNECTIONS, WARM_SECONDS

VERSIONS = 100
PAUSES = {"each_second": 1.0, "back_to_back": 0.0}


class Reloader:
    """Puts the versions live one after the other. Files lie ready: making them would take time from the load."""

    def __init__(self, releases: Releases, port: int) -> None:
        self._releases, self._port = releases, port
        self._versions = [releases.publish(version) for version in range(1, VERSIONS + 1)]
        self._last = 0
        self.took: list[float] = []

    def go(self) -> None:
        """The files of the version that lies longest get a version number that was never there."""
        release = self._versions[self._last % VERSIONS]
        if self._last >= VERSIONS:
            release = self._releases.publish(self._last + 1)
            self._releases.remove(self._last + 1 - VERSIONS)
        self._releases.point(release)
        if self._last:
            status, _, body = send(self._port, ours.RELOAD)
            assert status == 200, body[:300]
        self._last += 1

    @contextmanager
    def all_the_time(self, pause: float) -> Iterator[None]:
        stop = threading.Event()

        def repeat() -> None:
            while not stop.is_set():
                start = time.monotonic()
                self.go()
                self.took.append(time.monotonic() - start)
                stop.wait(max(0.0, pause - self.took[-1]))

        thread = threading.Thread(target=repeat)
        thread.start()
        yield
        stop.set()
        thread.join()


def measure(material: Material, scratch: Path, seconds: float, rounds: int) -> dict[str, Any]:
    port = free_port()
    reloader = Reloader(Releases(material, scratch / "store"), port)
    reloader.go()
    with running(ours.launch(scratch / "store", port), port, scratch / "serving.log"):
        calls = ours.calls(material, 1)
        run_wrk(port, calls, ONE_CONNECTIONS, WARM_SECONDS)
        found: dict[str, list[Load]] = {"quiet": []}
        took: dict[str, list[float]] = {name: [] for name in PAUSES}
        for _ in range(rounds):
            found["quiet"].append(run_wrk(port, calls, ONE_CONNECTIONS, seconds))
            for name, pause in PAUSES.items():
                reloader.took = took[name]
                with reloader.all_the_time(pause):
                    found.setdefault(name, []).append(run_wrk(port, calls, ONE_CONNECTIONS, seconds))
    return _figures(found, took)


def _figures(found: dict[str, list[Load]], took: dict[str, list[float]]) -> dict[str, Any]:
    rates = {name: spread([load.rate for load in loads]) for name, loads in found.items()}
    figures: dict[str, Any] = {"connections": ONE_CONNECTIONS}
    for name, loads in found.items():
        figures[name] = {
            "requests_per_s": rates[name],
            "of_quiet": round(rates[name]["median"] / rates["quiet"]["median"], 3),
            "reloads": len(took.get(name, [])),
            "seconds_of_a_reload": spread(took.get(name, [])),
            "p99_ms": spread([load.p99_ms for load in loads]),
            "not_2xx": sum(load.not_2xx for load in loads),
            "broken": sum(load.broken for load in loads),
        }
    return figures
