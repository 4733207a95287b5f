"""A replica that tells what it has counted and kept, in the words of ``docs/serving.md``, and nothing else."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from pipeline.contract.bundle import Bundle
from pipeline.contract.channel import Release
from tests.pipeline.tiny_model import SCHEMA, answer, json_rows, raw_rows


def variant(release: Release, answers: np.ndarray, errors: int = 0, slow: float = 1.0) -> dict[str, Any]:
    seconds = 0.002 * slow * np.random.default_rng(1).lognormal(0, 0.3, len(answers) + errors)
    places = Counter(1e-5 * 1.1 ** math.ceil(math.log(each / 1e-5, 1.1)) for each in seconds.tolist())
    count, total, squares = len(answers), float(answers.sum()), float((answers**2).sum())
    return {
        "version": release.version,
        "digest": release.digest,
        "since": "2026-11-22T00:00:00.000+00:00",
        "requests": len(answers) + errors,
        "refused": 0,
        "errors": errors,
        "seconds": {"count": len(seconds), "buckets": [list(each) for each in sorted(places.items())]},
        "answers": {"count": count, "sum": total, "squares": squares},
    }


def pair(row: dict[str, Any], champion: np.ndarray, shadow: np.ndarray) -> dict[str, Any]:
    named = (dict(zip(SCHEMA.outputs, each.tolist(), strict=True)) for each in (champion, shadow))
    return dict(zip(("row", "champion", "shadow", "at"), (row, *named, "2026-11-22T00:00:01.000+00:00"), strict=True))


def pairs(
    champion: tuple[Release, Bundle],
    shadow: tuple[Release, Bundle],
    rows: int = 200,
    seed: int = 1,
    weight: float = 2.0,
) -> dict[str, Any]:
    """What a replica with a shadow has kept of ``rows`` times ``weight`` rows, with noise of 2 % on the shadow."""
    asked = json_rows(raw_rows(rows, seed))
    ours, theirs = (answer(bundle.model, asked) for _, bundle in (champion, shadow))
    theirs = theirs * np.random.default_rng(seed).normal(1, 0.02, (rows, 1))
    sample = [pair(*each) for each in zip(asked, ours, theirs, strict=True)]
    worst = sorted(sample, key=lambda each: -abs(each["champion"]["price"] - each["shadow"]["price"]))[:20]
    return {
        "workers": 1,
        "champion": {"digest": champion[0].digest},
        "shadow": {"version": shadow[0].version, "digest": shadow[0].digest, "since": "2026-11-22T00:00:00.000+00:00"},
        "rows": int(rows * weight),
        "sample": [{"weight": weight, **each} for each in sample],
        "worst": worst,
    }


NO_PAIRS = {"workers": 0, "shadow": None, "rows": 0, "sample": [], "worst": []}


class Replica:
    """Answers ``variants`` and ``pairs`` with what they are set to, or with ``status``; asks for the push token."""

    def __init__(self, variants: Any, pairs: Any = None) -> None:
        self.documents = {"/v1/variants": variants, "/v1/pairs": NO_PAIRS if pairs is None else pairs}
        self.status = 200
        documents, replica = self.documents, self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                pass

            def do_GET(self) -> None:
                known = self.headers.get("Authorization") == "Bearer secret"
                self.send_response(replica.status if known else 401)
                document = documents[self.path]
                data = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
