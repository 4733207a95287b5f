"""A server as a process on one core: started, waited for, looked at, ended with all its children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

CORE = 0
READY_SECONDS = 120.0


class NotReady(Exception):
    """The server did not start; the message is what its log says of it."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started. ``ready`` is the address that answers 200 from then on; ``cores`` are taskset's."""

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    ready: str
    cores: str = str(CORE)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers. ``seconds`` went by from its start to its first answer."""

    port: int
    pid: int
    seconds: float

    def family(self) -> list[int]:
        """The process and all that come from it, oldest first."""
        return descendants(self.pid)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process holds: megabytes resident and proportional (shared pages divided among those who share)."""

    pid: int
    rss_mb: float
    pss_mb: float
    descriptors: int
    threads: int


@contextmanager
def running(launch: Launch, port: int, log: Path) -> Iterator[Running]:
    """Raises ``NotReady``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SERVING_")} | dict(launch.environment)
    start = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", launch.cores, *launch.command],  # noqa: S607
            cwd=launch.folder,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait(process, port, launch.ready, log)
        yield Running(port, process.pid, round(time.monotonic() - start, 3))
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], port: int, path: str, log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if status(port, path) == 200:
            return
        time.sleep(0.01)
    raise NotReady(f"it did not start: {_reason(log.read_text(errors='replace'))}; see {log}")


def _reason(text: str) -> str:
    """The last line that speaks of an error, else the last one."""
    lines = text.split("\n")
    return next((line for line in lines[::-1] if "error" in line.lower()), " ".join(lines[-2:]))[-300:]


def status(port: int, path: str) -> int:
    """The status of a GET; 0 while nobody listens."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask, then make: some servers leave children behind, in sessions of their own."""
    family = descendants(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    for pid in family:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for each in found:  # grows while it is walked
        found += sorted(children.get(each, []))
    return found


def footprint(pid: int) -> Footprint:
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, size = line.split()[:2]
        sizes[name] = int(size) / 1024
    descriptors, threads = (len(list(Path(f"/proc/{pid}/{name}").iterdir())) for name in ("fd", "task"))
    return Footprint(pid, round(sizes["Rss:"], 1), round(sizes["Pss:"], 1), descriptors, threads)


def connections(pid: int, port: int) -> int:
    """How many established connections to ``port`` a process holds."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"}
    return sum(_target(path) in ours for path in Path(f"/proc/{pid}/fd").iterdir())


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""  # closed meanwhile


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
