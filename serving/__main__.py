"""``python -m serving``: the command line. It reads the settings, takes the port, and serves until told to stop."""

from __future__ import annotations

import logging
import os
import socket
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from serving.errors import SettingsInvalid
from serving.logs import log_to_stderr
from serving.server import bind
from serving.settings import Settings, read_settings
from serving.trial import Trials, start_trials

log = logging.getLogger("serving")

# A socket's address has at most 108 bytes, its name in the folder 14.
LONGEST_FOLDER = 90


def main() -> None:
    given = _parse(sys.argv[1:])
    # first, while this process has neither threads nor sockets; two, as the champion must not wait behind the others
    with closing(start_trials()) as trials, closing(start_trials()) as beside:
        try:
            settings = read_settings(**given)
            with bind(settings.host, settings.port) as listener:
                if settings.grpc_port is not None:  # each worker takes it for itself; whether it is free is said here
                    bind(settings.host, settings.grpc_port, "SERVING_GRPC_PORT").close()
                code = _serve(settings, listener, trials, beside)
        except SettingsInvalid as error:
            sys.exit(f"serving: {error}")
    log.info("stopped")
    sys.exit(code)


def _parse(arguments: list[str]) -> dict[str, int]:
    parser = ArgumentParser("python -m serving", description="All settings are environment variables SERVING_*.")
    parser.add_argument("--workers", type=int, help="processes that answer on the one port (SERVING_WORKERS)")
    return {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}


def _serve(settings: Settings, listener: socket.socket, trials: Trials, beside: Trials) -> int:
    log_to_stderr()
    if not settings.release_key:
        log.warning("SERVING_RELEASE_KEY is not set: whoever can write to the release store decides what answers here")
    host, port = listener.getsockname()[:2]
    fields = {"host": host, "port": port, "store": settings.store, "model": settings.model}
    with _run_folder(settings.workers) as folder:
        # imported late, because prometheus_client looks at its variable when it is imported
        from serving.loading import Loading  # noqa: PLC0415
        from serving.start import serve, serve_by_workers  # noqa: PLC0415

        loading = Loading(trials.load, beside.load, beside.attempt)
        log.info("listening", extra={"fields": {**fields, "workers": settings.workers}})
        if folder is not None:
            return serve_by_workers(settings, listener, loading, folder)
        serve(settings, listener, loading)
        return 0


@contextmanager
def _run_folder(workers: int) -> Iterator[Path | None]:
    """What several workers share: their sockets and their figures, in a folder for this user alone, gone at the end."""
    if workers == 1:
        yield None
        return
    try:
        folder = tempfile.TemporaryDirectory(prefix="gavel-serving-", ignore_cleanup_errors=True)
    except OSError as error:
        raise SettingsInvalid(f"several workers need a temporary folder; set TMPDIR ({error.strerror})") from error
    with folder as name:
        if len(os.fsencode(name)) > LONGEST_FOLDER:
            raise SettingsInvalid(f"{name} is too long for the addresses of sockets; set TMPDIR to a shorter folder")
        metrics = Path(name, "metrics")
        metrics.mkdir()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        yield Path(name)


if __name__ == "__main__":
    main()
