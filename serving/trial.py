"""Asks the trial process whether a release may be loaded, and loads it here only then: the way every release goes live.

Not here: how a trial is run and limited (``trial_process.py``), what is checked (``loader.py``).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import BinaryIO

from pipeline.contract.channel import Release
from serving import loader
from serving.children import fork
from serving.errors import ReleaseRefused, TrialUnavailable
from serving.release import LoadedRelease
from serving.trial_process import OK, Limits, Verdict, keep_running, read_all

WAIT_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Trials:
    """The way to the trial process, for this process and for those forked from it. ``process`` keeps it running."""

    requests: socket.socket
    process: int

    def load(self, model: str, release: Release, files: Mapping[str, bytes]) -> LoadedRelease:
        """Verify the bytes, have them tried in a child process, then load those same bytes here.

        Raises:
            ReleaseRefused: a check failed, or the trial did not end well; the message says which.
            TrialUnavailable: the trial process gave no verdict; ask again.
        """
        bundle = loader.verify(model, release, files)
        self._ask(model, release, bundle.files, answers=False)
        return loader.start(release, bundle)

    def attempt(self, model: str, release: Release, files: Mapping[str, bytes]) -> Sequence[Mapping[str, float]]:
        """The answers to the golden rows in a child process; nothing is loaded here. Raises as ``load``."""
        bundle = loader.verify(model, release, files)
        return self._ask(model, release, bundle.files, answers=True).answers

    def _ask(self, model: str, release: Release, files: Mapping[str, bytes], *, answers: bool) -> Verdict:
        sizes = {name: len(data) for name, data in files.items()}
        asked = {"model": model, "release": asdict(release), "sizes": sizes, "answers": answers}
        request = json.dumps(asked).encode()
        try:
            mine, theirs = socket.socketpair()
            with mine, theirs, _scratch(files) as scratch:
                socket.send_fds(self.requests, [request], [scratch.fileno(), theirs.fileno()])
                theirs.close()
                verdict = Verdict.read(read_all(mine.fileno(), WAIT_SECONDS))
        except (OSError, ValueError) as error:
            message = "the trial process gave no verdict on the release; it is asked again at the next look"
            raise TrialUnavailable(message) from error
        if verdict.problem != OK:
            raise ReleaseRefused(verdict.problem)
        return verdict

    def close(self) -> None:
        """End the trial process. Otherwise it ends with the process that started it."""
        self.requests.close()
        with suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.process, 0)


def start_trials(limits: Limits | None = None) -> Trials:
    """Start the trial process. To be called before this process has threads, sockets or secrets of its own."""
    # Datagrams, because several workers write to the one socket; each brings the socket that is answered on.
    requests, inbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    requests.settimeout(WAIT_SECONDS)
    me = os.getpid()

    def work() -> int:
        requests.close()
        keep_running(inbox, limits or Limits(), me)

    with inbox:
        return Trials(requests, fork(work))


def _scratch(files: Mapping[str, bytes]) -> BinaryIO:
    """The files one after another in memory that another process can be handed."""
    if hasattr(os, "memfd_create"):
        scratch: BinaryIO = os.fdopen(os.memfd_create("release"), "w+b", buffering=0)
    else:
        scratch = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  the caller closes it
    for data in files.values():
        scratch.write(data)
    return scratch
