"""``python -m serving``: the command line. It reads the settings, takes the port, and serves until told to stop."""

from __future__ import annotations

import logging
import sys

from serving.app import create_app
from serving.errors import SettingsInvalid
from serving.logs import log_to_stderr
from serving.server import DrainingServer, bind
from serving.settings import read_settings

log = logging.getLogger("serving")


def main() -> None:
    try:
        settings = read_settings()
        app = create_app(settings)
        listener = bind(settings.host, settings.port)
    except SettingsInvalid as error:
        sys.exit(f"serving: {error}")
    log_to_stderr()
    host, port = listener.getsockname()[:2]
    fields = {"host": host, "port": port, "store": settings.store, "model": settings.model}
    log.info("listening", extra={"fields": fields})
    DrainingServer(app, settings).run(sockets=[listener])
    log.info("stopped")


if __name__ == "__main__":
    main()
