"""The real server process for tests: started on a free port, ended by its own id."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TOKEN = "push-token"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self):
        return json.loads(self.body)


@dataclass
class Served:
    process: subprocess.Popen
    port: int
    log: Path

    def connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(self, method: str, path: str, body=None, headers=None, connection=None) -> Answer:
        if connection is None:
            with closing(self.connection()) as mine:
                return self.ask(method, path, body, headers, mine)
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        given = {"content-type": "application/json"} if data is not None else {}
        connection.request(method, path, data, {**given, **(headers or {})})
        found = connection.getresponse()
        return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())

    def push(self) -> Answer:
        return self.ask("POST", "/v1/reload", headers={"authorization": f"Bearer {TOKEN}"})


def command(**settings) -> dict:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SERVING_")}
    environment |= {f"SERVING_{name.upper()}": str(value) for name, value in settings.items()}
    return {"args": [sys.executable, "-m", "serving"], "env": environment, "cwd": REPOSITORY}


def wait_for(condition, seconds: float = 20.0):
    """The first true value of ``condition()``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {condition}")


@contextmanager
def serving(store: Path, /, **settings) -> Iterator[Served]:
    port, log = free_port(), store.parent / "serving.log"
    chosen = {"store": f"file:{store}", "port": port, "push_token": TOKEN, "drain_seconds": 0, **settings}
    with log.open("wb") as output:
        process = subprocess.Popen(**command(**chosen), stderr=output)
    served = Served(process, port, log)
    try:
        wait_for(lambda: alive(served))
        yield served
    finally:
        if settings.get("workers", 1) > 1:  # killed, the parent leaves the folder of its workers behind
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
        process.kill()
        process.wait()


def alive(served: Served) -> bool:
    assert served.process.poll() is None, served.log.read_text()
    try:
        return served.ask("GET", "/livez").status == 200
    except OSError:
        return False
