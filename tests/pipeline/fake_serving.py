"""A small HTTP stand-in for the serving process, for what goes wrong: it follows the channel as told by ``mood``."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipeline.contract.bundle import Bundle
from pipeline.contract.channel import Channel
from pipeline.contract.schema import RowsInvalid
from pipeline.contract.status import Refusal, Status
from pipeline.releases import read_channel, read_release
from pipeline.store import Store
from tests.pipeline.tiny_model import DATASET, SCHEMA, answer


class FakeServing:
    """``mood``: well, refuses (any release but ``good``), stuck (never looks), wrong (answers 1 % off), deaf (no push),

    busy (503), garbled (no JSON); in a trial also another (release), short (a row less), odd (JSON of another shape).
    ``loads`` are the digests it took on, ``trials`` what it was asked to try, ``tokens`` what the pushes came with;
    ``told`` is what it says of its variants and pairs.
    """

    def __init__(self, store: Store, mood: str = "well", host: str = "127.0.0.1", port: int = 0) -> None:
        self.mood, self.good, self.store = mood, "", store
        self.live: Bundle | None = None
        self.version: int | None = None
        self.generation: int | None = None
        self.refusal: Refusal | None = None
        self.roles: dict[str, str] = {}
        self.told: dict[str, Any] = {"/v1/variants": {}, "/v1/pairs": {}}
        self.trials: list[dict[str, Any]] = []
        self.loads: list[str] = []
        self.tokens: list[str | None] = []
        self._server = _Server((host, port), _Handler)
        self._server.serving = self
        self.port = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def look(self) -> None:
        """Follow the channel, as a push or the poll of a real one makes it."""
        if self.mood == "stuck":
            return
        channel = read_channel(self.store, DATASET.model_name).channel
        self.generation, wanted = channel.generation, channel.champion
        self.take_roles(channel)
        if wanted is None or (self.live is not None and wanted.digest == self.live.digest):
            return
        if self.mood == "refuses" and wanted.digest != self.good:
            self.refusal = Refusal(wanted.version, wanted.digest, "golden row 3 differs")
            return
        self.live, self.version = read_release(self.store, DATASET.model_name, wanted.version), wanted.version
        self.loads.append(wanted.digest)

    def take_roles(self, channel: Channel) -> None:
        """Challenger and shadow are held beside what is live."""
        beside = {role: release for role, release in channel.roles() if role != "champion"}
        if self.mood == "refuses":
            for release in beside.values():
                self.refusal = Refusal(release.version, release.digest, "golden row 3 differs")
            beside = {}
        self.roles = {role: release.digest for role, release in beside.items()}

    def trial(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What a process of its own finds out about a release."""
        self.trials.append(asked)
        bundle = read_release(self.store, DATASET.model_name, asked["version"])
        answers = answer(bundle.model, bundle.golden.rows) * (1.01 if self.mood == "wrong" else 1)
        named = [dict(zip(SCHEMA.outputs, map(float, row), strict=True)) for row in answers]
        return {
            "digest": "f" * 64 if self.mood == "another" else bundle.digest,
            "answers": named[:-1] if self.mood == "short" else named,
            "problem": "it takes more than 2 GB" if self.mood == "refuses" else None,
        }

    def status(self) -> Status:
        digest = self.live.digest if self.live else None
        return Status(
            DATASET.model_name,
            self.live is not None,
            self.version,
            digest,
            generation=self.generation,
            refusal=self.refusal,
            **self.roles,
        )

    def predict(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        assert self.live is not None
        answers = answer(self.live.model, rows) * (1.01 if self.mood == "wrong" else 1)
        named = [dict(zip(SCHEMA.outputs, map(float, row), strict=True)) for row in answers]
        return {"predictions": named, "version": self.version, "digest": self.live.digest}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    serving: FakeServing


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *arguments: object) -> None:
        pass

    def stranger(self) -> bool:
        """Where callers must say who they are, an answer to one who does not, and True."""
        unknown = self.server.serving.mood == "guarded" and self.headers.get("Authorization") != "Bearer secret"
        if unknown:
            self.give(401, {})
        return unknown

    def do_GET(self) -> None:
        told = self.server.serving.told
        assert self.path in {"/v1/model", *told}
        if self.stranger():
            return
        if self.path in told:
            self.give(200, told[self.path])
            return
        if self.server.serving.mood == "deaf":
            self.server.serving.look()
        self.give(200, self.server.serving.status().to_dict())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.stranger():
            return
        if self.path == "/v1/reload":
            self.reload()
        elif self.path == "/v1/trial":
            self.try_out(json.loads(body))
        else:
            self.predict(json.loads(body)["rows"])

    def reload(self) -> None:
        serving = self.server.serving
        serving.tokens.append(self.headers.get("Authorization"))
        if serving.mood == "deaf":
            self.give(500, {})
        else:
            serving.look()
            self.give(200, serving.status().to_dict())

    def try_out(self, asked: dict[str, Any]) -> None:
        serving = self.server.serving
        if serving.mood in {"busy", "garbled", "odd"}:
            self.give(503 if serving.mood == "busy" else 200, [] if serving.mood == "odd" else None)
        else:
            self.give(200, serving.trial(asked))

    def predict(self, rows: list[dict[str, Any]]) -> None:
        serving = self.server.serving
        if serving.mood in {"busy", "garbled"}:
            self.give(503 if serving.mood == "busy" else 200, None)
            return
        try:
            self.give(200, serving.predict(rows))
        except RowsInvalid as error:
            self.give(422, {"detail": str(error)})

    def give(self, code: int, document: Any) -> None:
        data = b"not JSON" if document is None else json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
