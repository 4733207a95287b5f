"""Which processes belong to the stack, and ending them: by session and environment, never by name.

A process belongs to it if it carries the marker of this state folder in its environment, or is in the session that
the supervisor was started in. Both are needed: some programs write their title over their environment, some leave
the session. This also works when the supervisor itself was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from typing import Self

import psutil

from local.environment import MARKER
from local.layout import Ports, State
from local.supervisor import Supervisor

POLITE_SECONDS = 12
TERM_SECONDS = 4
BOOT_TOLERANCE = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """What was started: the supervisor's session and when (seconds since 1970), the ports and the source."""

    session: int
    started: float
    boot: float
    ports: Ports
    source: str

    @classmethod
    def read(cls, state: State) -> Self | None:
        try:
            document = json.loads(state.running_file.read_text())
            return cls(**document | {"ports": Ports(**document["ports"])})
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    @classmethod
    def of(cls, session: int, ports: Ports, source: str) -> Self:
        return cls(session, psutil.Process(session).create_time(), psutil.boot_time(), ports, source)

    def write(self, state: State) -> None:
        state.running_file.write_text(json.dumps(asdict(self)))

    def has(self, process: psutil.Process) -> bool:
        """Whether the process is in this session, and that is still the same session."""
        if abs(psutil.boot_time() - self.boot) > BOOT_TOLERANCE:
            return False
        started: float = process.create_time()
        return bool(os.getsid(process.pid) == self.session and started >= self.started - 1)


def members(state: State) -> list[psutil.Process]:
    """The live processes of the stack, without this one and its parents."""
    running = Running.read(state)
    family = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [p for p in psutil.process_iter() if p.pid not in family and _belongs(p, state, running)]


def _belongs(process: psutil.Process, state: State, running: Running | None) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if running is not None and running.has(process):
            return True
        return bool(process.environ().get(MARKER) == str(state.root))
    except (psutil.Error, OSError):
        return False


def end_all(state: State) -> int:
    """End every process of the stack, politely first; how many there were. Returns when none is left."""
    found = members(state)
    if found and Supervisor(state).answers():
        Supervisor(state).shut_down()
        _wait(state, POLITE_SECONDS)
    deadline = time.monotonic() + TERM_SECONDS
    while rest := members(state):
        for process in rest:
            with contextlib.suppress(psutil.Error):
                process.kill() if time.monotonic() > deadline else process.terminate()
        _wait(state, 1)
    state.running_file.unlink(missing_ok=True)
    state.socket.unlink(missing_ok=True)
    return len(found)


def _wait(state: State, seconds: float) -> None:
    """Until the supervisor and its programs are gone; not ``psutil.wait_procs``, which waits for zombies as well."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and members(state):
        time.sleep(0.1)
