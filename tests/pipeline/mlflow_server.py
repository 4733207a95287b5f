"""A real MLflow server on a free port, with its own process group, and a proxy that can break the line to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """The address of an MLflow server whose SQLite database and files lie in ``folder``."""
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("mlflow")), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--serve-artifacts", "--artifacts-destination", str(folder / "files"),
    ]  # fmt: skip
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process, folder / "mlflow.log")
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if requests.get(f"{url}/health", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


class Proxy:
    """An HTTP proxy before a server. ``spoil(method, path)`` is asked for each request and answers how to break it:

    "" not at all, "lost reply" (the server does it, the client gets no answer), "lost request", "hang".
    """

    def __init__(self, target: str) -> None:
        self.spoil: Callable[[str, str], str] = lambda method, path: ""
        self.seen: list[str] = []
        self._target = target
        self._stopped = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: object) -> None:
                pass

            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                proxy.seen.append(f"{self.command} {self.path}")
                how = proxy.spoil(self.command, self.path)
                if how == "hang":
                    proxy._stopped.wait(60)
                if how in {"hang", "lost request"}:
                    self.close_connection = True
                    return
                headers = {name: value for name, value in self.headers.items() if name != "Host"}
                with requests.request(
                    self.command, proxy._target + self.path, data=body, headers=headers, timeout=30
                ) as reply:
                    content = reply.content
                if how == "lost reply":
                    self.close_connection = True
                    return
                self.send_response(reply.status_code)
                self.send_header("Content-Type", reply.headers.get("Content-Type", ""))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815

        return Handler
