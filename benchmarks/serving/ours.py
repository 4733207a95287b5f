"""How our own server is started for a measurement: as in production, with keys required and everything on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.serving.formats import Call, Format, json_format, price_of_each, v2_binary
from benchmarks.serving.material import Material, Row
from benchmarks.serving.process import CORE, Launch
from pipeline.contract.schema import Schema

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = str(REPOSITORY / ".venv-serving/bin/python")
KEY, PUSH_TOKEN = "bench-key-of-a-caller-1", "bench-token-of-the-pusher-1"  # of servers that live for seconds
MAY_PREDICT = {"Authorization": f"Bearer {KEY}"}
RELOAD = Call("/v1/reload", {"Authorization": f"Bearer {PUSH_TOKEN}"}, b"")


def launch(store: Path, port: int, *, workers: int = 1, cores: str = str(CORE), **settings: object) -> Launch:
    """``python -m serving`` on ``store``; more ``settings`` by their names."""
    credentials = store.parent / "credentials.json"
    key = {"name": "bench", "role": "predict", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}
    credentials.parent.mkdir(parents=True, exist_ok=True)
    credentials.write_text(json.dumps({"keys": [key]}))
    credentials.chmod(0o600)
    chosen = {
        "store": f"file:{store}",
        "port": port,
        "workers": workers,
        "auth": "required",
        "credentials": credentials,
        "push_token": PUSH_TOKEN,
        "drain_seconds": 0,
        **settings,
    }
    environment = {f"SERVING_{name.upper()}": str(value) for name, value in chosen.items()}
    return Launch([PYTHON, "-m", "serving"], environment, REPOSITORY, "/readyz", cores)


def _with_key(form: Format) -> Format:
    def call(schema: Schema, rows: Sequence[Row]) -> Call:
        made = form.call(schema, rows)
        return replace(made, headers={**made.headers, **MAY_PREDICT})

    return replace(form, call=call)


PREDICT = _with_key(
    json_format("JSON", "/v1/predict", lambda rows: {"rows": rows}, lambda answer: price_of_each(answer["predictions"]))
)


def binary(model: str) -> Format:
    return _with_key(v2_binary(f"/v2/models/{model}/infer"))


def calls(material: Material, size: int) -> list[Call]:
    """Requests of ``size`` rows each, all different, in our own JSON."""
    return [PREDICT.call(material.schema, rows) for rows in material.batches(size)]
