"""The parent of several workers: forks them, replaces one that dies, passes signals on. It answers no request itself.

Not here: what a worker does (``start.py``).
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from serving.children import die_with, fork

log = logging.getLogger(__name__)

SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
TICK_SECONDS = 0.2
# A worker that lived for so long is replaced at once; one that dies sooner, later and later.
HEALTHY_SECONDS = 10.0
FIRST_WAIT_SECONDS, LAST_WAIT_SECONDS = 0.1, 30.0
# What a worker ends with when trying again would not help, as with settings that cannot be used.
CANNOT_START = 78


@dataclass(slots=True)
class Worker:
    """The process on one seat. ``pid`` is 0 when there is none; the next one is started at ``due`` (monotonic)."""

    index: int
    pid: int = 0
    started: float = 0.0
    due: float = 0.0
    wait: float = 0.0


class Workers:
    """``count`` processes that each do ``work`` with their index; ``ended`` is told the id of one that has ended."""

    def __init__(self, count: int, work: Callable[[int], int], ended: Callable[[int], None]) -> None:
        self._workers = [Worker(index) for index in range(count)]
        self._work, self._ended = work, ended
        self._ending = self._hopeless = False

    def run(self, close: Callable[[], None], drain_seconds: float, grace_seconds: float) -> int:
        """Keep all workers running until SIGTERM or SIGINT, then end them. Returns the exit code of the replica.

        The first SIGTERM to the workers says drain; a second one, ``drain_seconds`` later and after ``close`` was
        called, says stop. What has not ended ``grace_seconds`` after that is killed.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # they are taken below, where nothing is half done
        gc.collect()
        gc.freeze()  # else the collector of each worker writes into the pages that it shares with the others
        while not self._told():
            self._start_due()
        self._ending = True
        self._signal(signal.SIGTERM)
        self._wait(drain_seconds)
        close()
        self._signal(signal.SIGTERM)
        self._wait(grace_seconds)
        self._signal(signal.SIGKILL)
        self._wait(grace_seconds)
        return 1 if self._hopeless else 0

    def _wait(self, seconds: float) -> None:
        """Until no worker runs, the time is over, or somebody says again that it shall end."""
        end = time.monotonic() + seconds
        while any(worker.pid for worker in self._workers) and time.monotonic() < end:
            if self._told(max(0.0, end - time.monotonic())):
                return

    def _told(self, seconds: float = TICK_SECONDS) -> bool:
        """Wait for the next signal. Has the replica been told to end, or must it?"""
        received = signal.sigtimedwait(SIGNALS, min(seconds, TICK_SECONDS))
        self._bury()
        return self._hopeless or (received is not None and received.si_signo != signal.SIGCHLD)

    def _start_due(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if not worker.pid and now >= worker.due:
                self._start(worker, now)

    def _start(self, worker: Worker, now: float) -> None:
        parent = os.getpid()

        def work() -> int:
            os.setpgid(0, 0)  # Ctrl-C and signals to the group are the parent's to pass on, once
            die_with(parent)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            return self._work(worker.index)

        try:
            worker.pid, worker.started = fork(work), now
        except OSError as error:  # no memory, or too many processes
            worker.due = now + FIRST_WAIT_SECONDS
            log.warning(f"no worker could be started: {error.strerror}")
        else:
            log.info("worker started", extra={"fields": {"worker": worker.index, "pid": worker.pid}})

    def _bury(self) -> None:
        """Take note of workers that have ended; the trial process is a child too, but somebody else's."""
        for worker in self._workers:
            pid, status = os.waitpid(worker.pid, os.WNOHANG) if worker.pid else (0, 0)
            if pid:
                self._note(worker, os.waitstatus_to_exitcode(status))

    def _note(self, worker: Worker, code: int) -> None:
        now = time.monotonic()
        self._ended(worker.pid)
        quick = now - worker.started < HEALTHY_SECONDS
        worker.wait = min(max(2 * worker.wait, FIRST_WAIT_SECONDS), LAST_WAIT_SECONDS) if quick else 0.0
        fields = {"worker": worker.index, "pid": worker.pid, "code": code}
        worker.pid, worker.due = 0, now + worker.wait
        if not self._ending:
            log.warning("a worker ended and is replaced", extra={"fields": {**fields, "in_seconds": worker.wait}})
        # while others answer, settings that broke meanwhile (a file that went) are no reason to end them
        self._hopeless = code == CANNOT_START and not any(each.pid for each in self._workers)

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, number)
