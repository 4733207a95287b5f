"""From settings and a socket to a running replica: one worker in this process, or several under this one.

Not here: the command line (``__main__.py``). This file imports everything, so that the workers share what it takes.
"""

from __future__ import annotations

import gc
import logging
import os
import socket
import time
from pathlib import Path

from prometheus_client import multiprocess

from serving.app import create_app
from serving.errors import SettingsInvalid
from serving.loading import Loading
from serving.server import GRACEFUL_SECONDS, SETTLE_SECONDS, DrainingServer, turn_away
from serving.settings import Settings
from serving.siblings import Seat
from serving.workers import CANNOT_START, Workers

log = logging.getLogger(__name__)

SPARE_SECONDS = 10


def serve(settings: Settings, listener: socket.socket, loading: Loading) -> None:
    """Answer on ``listener`` until told to stop. Raises ``SettingsInvalid``."""
    server = DrainingServer(create_app(settings, loading), settings)
    gc.freeze()  # what is here stays for good: the collector need not look at it again and again
    server.run(sockets=[listener])


def serve_by_workers(settings: Settings, listener: socket.socket, loading: Loading, folder: Path) -> int:
    """The same by several workers, whose sockets are in ``folder``. Returns the exit code."""
    metrics = folder / "metrics"

    def work(index: int) -> int:
        seat = Seat(index, settings.workers, folder)
        try:
            server = DrainingServer(create_app(settings, loading, seat), settings)
        except SettingsInvalid as error:
            log.error(str(error))  # noqa: TRY400  one sentence, no trace
            return CANNOT_START
        server.run(sockets=[listener])
        return 0

    def ended(pid: int) -> None:
        multiprocess.mark_process_dead(pid, str(metrics))

    for file in metrics.glob(f"*_{os.getpid()}.db"):
        file.unlink()  # this process counts nothing; its zeros would be the lowest version of all workers

    def close() -> None:
        turn_away(listener)
        listener.close()
        time.sleep(SETTLE_SECONDS)

    workers = Workers(settings.workers, work, ended)
    return workers.run(close, settings.drain_seconds, GRACEFUL_SECONDS + SPARE_SECONDS)
