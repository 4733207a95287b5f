"""The trial process: runs the first load of a new model in a child that may crash, hang or eat memory, and tells how.

It is forked while the libraries are loaded and nothing else runs, so that a trial costs a fork and the work. Its own
parent keeps one running and does nothing else. Not here: who asks, and what is done with the verdict (``trial.py``).
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from pipeline.contract.channel import Release
from serving import loader
from serving.children import die_with, fork
from serving.errors import ReleaseRefused

MAX_REQUEST, MAX_VERDICT = 1 << 16, 16 << 20
# Long enough for the other workers of the replica to ask; shorter than the wait before a refused one is tried again.
REMEMBER_SECONDS = 20.0
RESTART_SECONDS = 0.1
MEMORY_PER_BYTE = 8
# Where processors are short, answering comes first: at this level a trial takes a tenth of one from a busy worker.
NICENESS = 10
OK = ""  # the problem of a release that may be loaded; any other text is the reason why not


@dataclass(frozen=True, slots=True)
class Limits:
    """What one trial may use; ``memory_bytes`` comes on top of what is mapped already and of some for each byte."""

    memory_bytes: int = 512 << 20
    cpu_seconds: int = 10
    wall_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """``problem`` is ``OK`` or the reason why not; ``answers`` are those to the golden rows, if they were asked for."""

    problem: str
    answers: Sequence[Mapping[str, float]] = ()

    def to_bytes(self) -> bytes:
        return json.dumps({"problem": self.problem, "answers": self.answers}).encode()

    @classmethod
    def read(cls, data: bytes) -> Verdict:
        """Raises ``ValueError`` for what is no whole verdict."""
        try:
            document = json.loads(data)
            return cls(str(document["problem"]), tuple(document["answers"]))
        except (TypeError, KeyError) as error:
            raise ValueError("this is no verdict") from error


def keep_running(inbox: socket.socket, limits: Limits, parent: int) -> NoReturn:
    """Be the parent of a trial process, and start another one whenever it has died."""
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which takes this process along
    me = os.getpid()
    while True:
        child = fork(lambda: TrialProcess(inbox, limits).run(me))
        os.waitpid(child, 0)
        time.sleep(RESTART_SECONDS)


@dataclass(slots=True)
class TrialProcess:
    """Answers one request after another; remembers a verdict for a short while."""

    inbox: socket.socket
    limits: Limits
    verdicts: dict[str, tuple[float, Verdict]] = field(default_factory=dict)

    def run(self, parent: int) -> NoReturn:
        die_with(parent)
        while True:
            data, files, _, _ = socket.recv_fds(self.inbox, MAX_REQUEST, 2)
            with os.fdopen(files[0], "rb") as scratch, socket.socket(fileno=files[1]) as reply:
                verdict = self._verdict(data, scratch.fileno())
                with suppress(OSError):  # who asked may have gone
                    reply.sendall(verdict.to_bytes())

    def _verdict(self, data: bytes, scratch: int) -> Verdict:
        request = json.loads(data)
        key, now = json.dumps([request["model"], request["release"], request["answers"]]), time.monotonic()
        self.verdicts = {k: v for k, v in self.verdicts.items() if now - v[0] < REMEMBER_SECONDS}
        if key not in self.verdicts:
            memory = self.limits.memory_bytes + MEMORY_PER_BYTE * sum(request["sizes"].values())
            limits = replace(self.limits, memory_bytes=memory)
            verdict = _run_limited(lambda: _attempt(request, scratch, limits), limits)
            self.verdicts[key] = (time.monotonic(), verdict)
        return self.verdicts[key][1]


def _run_limited(attempt: Callable[[], Verdict], limits: Limits) -> Verdict:
    """What a child process says after ``attempt``, or what became of it; it is gone afterwards."""
    reading, writing = os.pipe()
    me = os.getpid()

    def work() -> int:
        _confine(me, limits)
        with os.fdopen(writing, "wb") as said:
            said.write(attempt().to_bytes())
        return 0

    child = fork(work)
    os.close(writing)
    said, in_time = b"", True
    try:
        said = read_all(reading, limits.wall_seconds)
    except TimeoutError:
        in_time = False
    os.close(reading)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    try:
        return Verdict.read(said)
    except ValueError:  # it ended before it had said everything
        return Verdict(_epitaph(status, limits, in_time=in_time))


def read_all(file: int, seconds: float) -> bytes:
    """What comes until its end. Raises ``TimeoutError`` after so many seconds, ``ValueError`` when it is too much."""
    data, end = bytearray(), time.monotonic() + seconds
    while len(data) <= MAX_VERDICT:
        if not select.select([file], [], [], max(0.0, end - time.monotonic()))[0]:
            raise TimeoutError
        more = os.read(file, 1 << 16)
        if not more:
            return bytes(data)
        data += more
    raise ValueError(f"the verdict has more than {MAX_VERDICT} bytes")


def _epitaph(status: int, limits: Limits, *, in_time: bool) -> str:
    if not in_time:
        return f"the model did not answer its golden rows within {limits.wall_seconds:g} seconds"
    ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if ended_by == signal.SIGXCPU:
        return f"the model took more than {limits.cpu_seconds} seconds of processor time to answer its golden rows"
    if ended_by == signal.SIGKILL:
        return "the first run of the model was killed by the system; most likely the memory was full"
    name = signal.Signals(ended_by).name if ended_by else f"exit code {os.waitstatus_to_exitcode(status)}"
    return f"the model crashed the process of its first run ({name})"


def _confine(parent: int, limits: Limits) -> None:
    die_with(parent)
    os.nice(NICENESS)
    devnull = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # what a crash prints is no log line
        os.dup2(devnull, stream)
    with suppress(OSError):  # if the system runs out of memory, this process goes first; only Linux has it
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    with suppress(OSError):
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
        resource.setrlimit(resource.RLIMIT_AS, (mapped + limits.memory_bytes,) * 2)


def _attempt(request: dict[str, Any], scratch: int, limits: Limits) -> Verdict:
    try:
        files, at = {}, 0
        for name, size in request["sizes"].items():
            files[name] = os.pread(scratch, size, at)
            at += size
        release = Release(**request["release"])
        if request["answers"]:
            return Verdict(OK, loader.attempt(request["model"], release, files))
        loader.load(request["model"], release, files)
        return Verdict(OK)
    except (ReleaseRefused, MemoryError) as error:
        reason = str(error) or "MemoryError"
        full = "MemoryError" in reason or "alloc" in reason.lower()
        return Verdict(f"the model needs more than {limits.memory_bytes >> 20} MB to answer: " * full + reason)
