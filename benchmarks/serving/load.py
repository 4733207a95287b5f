"""Load by ``wrk`` on the core that no server has. What is asked comes ready made; what comes back is not read here."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.formats import Call

CORE = 1
SCRIPT = Path(__file__).with_name("walk.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of ``wrk`` saw. ``not_2xx`` counts answers, ``broken`` lost connections and timeouts."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    not_2xx: int
    broken: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def check_wrk() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("make bench needs wrk, which makes the load (on Debian and Ubuntu: apt-get install wrk)")


def run_wrk(port: int, calls: Sequence[Call], connections: int, seconds: float) -> Load:
    """All ``calls`` in turn, over and over, each connection sending the next one as soon as it has its answer."""
    with tempfile.NamedTemporaryFile() as prepared:
        for call in calls:
            request = call.to_bytes()
            prepared.write(b"%d\n%s" % (len(request), request))
        prepared.flush()
        size = ["-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s", "--timeout", "30s"]
        command = ["taskset", "-c", str(CORE), "wrk", *size, "-s", str(SCRIPT), f"http://127.0.0.1:{port}"]
        done = subprocess.run([*command, prepared.name], check=True, capture_output=True, text=True)
    return Load(**json.loads(done.stdout.splitlines()[-1]))
