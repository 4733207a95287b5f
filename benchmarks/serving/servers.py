"""Who is measured: each server with its environment, its command and the formats it speaks.

Each of the others is started as its own documentation begins, with one process for the model and no access log.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.serving import ours
from benchmarks.serving.formats import Format, json_format, price_of_each, split, v2_json
from benchmarks.serving.material import MLFLOW, Material, Releases
from benchmarks.serving.ours import REPOSITORY
from benchmarks.serving.process import Launch, free_port

PEERS = "benchmarks.serving.peers"
UVICORN = ("-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")


@dataclass(frozen=True, slots=True)
class Server:
    """``peer`` is the name that chooses it, ``one`` and ``many`` are the formats of one row and of many."""

    name: str
    peer: str
    about: str
    python: Path
    start: Callable[[int], Launch]
    one: Format
    many: Sequence[Format]

    @property
    def installed(self) -> bool:
        return self.python.exists()


def all_servers(material: Material, scratch: Path) -> list[Server]:
    model = {"BENCH_MODEL": str(material.model_file), "PYTHONPATH": str(REPOSITORY)}
    return [
        _ours(material, scratch),
        *(_fastapi(handler, model) for handler in ("def", "async def")),
        _mlflow(material),
        _mlserver("MLServer", {**model, "implementation": f"{PEERS}.mlserver_runtime.Price"}, scratch),
        _mlserver("MLServer, MLflow runtime", _mlflow_runtime(material), scratch),
        _bentoml(model),
        _ray(model),
        _empty(),
    ]


def _ours(material: Material, scratch: Path) -> Server:
    releases = Releases(material, scratch / "ours" / "store")
    releases.point(releases.publish(0))

    def start(port: int) -> Launch:
        return ours.launch(releases.root, port)

    binary = ours.binary(releases.model)
    about = "one worker; validation, API key and metrics on"
    return Server("Gavel", "gavel", about, Path(ours.PYTHON), start, ours.PREDICT, [ours.PREDICT, binary])


def _fastapi(handler: str, model: Mapping[str, str]) -> Server:
    python = _environment("fastapi")

    def start(port: int) -> Launch:
        command = [str(python), *UVICORN, "--port", str(port), f"{PEERS}.fastapi_app:app"]
        return Launch(command, {**model, "BENCH_HANDLER": handler}, REPOSITORY, "/openapi.json")

    one = json_format("JSON", "/predict", lambda rows: rows[0], lambda answer: [answer["price"]])
    many = json_format("JSON", "/predict/batch", list, price_of_each)
    name = f"FastAPI, {handler}"
    return Server(name, "fastapi", "pydantic, uvicorn", python, start, one, [many])


def _mlflow(material: Material) -> Server:
    python = REPOSITORY / ".venv/bin/python"

    def start(port: int) -> Launch:
        where = ["--model-uri", str(material.folder / MLFLOW), "--env-manager", "local", "--workers", "1"]
        command = [str(python), "-m", "mlflow", "models", "serve", *where, "--port", str(port)]
        path = f"{python.parent}:{os.environ['PATH']}"  # it starts uvicorn by its bare name
        return Launch(command, {"PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}, REPOSITORY, "/ping")

    form = json_format("dataframe_split", "/invocations", split, lambda answer: price_of_each(answer["predictions"]))
    return Server("MLflow", "mlflow", "mlflow models serve", python, start, form, [form])


def _mlserver(name: str, model: Mapping[str, str], scratch: Path) -> Server:
    """``model`` is its environment, with what is to go into model-settings.json."""
    python = _environment("mlserver")
    folder = scratch / name.lower().replace(", ", "-").replace(" ", "-")

    def start(port: int) -> Launch:
        folder.mkdir(parents=True, exist_ok=True)
        ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
        (folder / "settings.json").write_text(json.dumps({"host": "127.0.0.1", **ports, "debug": False}))
        described = {"name": "price", "implementation": model["implementation"]}
        if "uri" in model:
            described["parameters"] = {"uri": model["uri"]}  # type: ignore[assignment]
        (folder / "model-settings.json").write_text(json.dumps(described))
        environment = {key: value for key, value in model.items() if key.isupper()}
        command = [str(python.with_name("mlserver")), "start", str(folder)]
        return Launch(command, environment, folder, "/v2/models/price/ready")

    kinds = {"FP64": "np", "BYTES": "str"}
    form = v2_json("/v2/models/price/infer", kinds)
    return Server(name, "mlserver", "mlserver start, V2", python, start, form, [form])


def _mlflow_runtime(material: Material) -> dict[str, str]:
    return {"implementation": "mlserver_mlflow.MLflowRuntime", "uri": str(material.folder / MLFLOW)}


def _bentoml(model: Mapping[str, str]) -> Server:
    python = _environment("bentoml")

    def start(port: int) -> Launch:
        command = [str(python), "-m", "bentoml", "serve", f"{PEERS}.bentoml_service:Price", "--port", str(port)]
        return Launch(command, {**model, "BENTOML_DO_NOT_TRACK": "true"}, REPOSITORY, "/readyz")

    form = json_format("JSON", "/predict", lambda rows: {"rows": rows}, price_of_each)
    return Server("BentoML", "bentoml", "bentoml serve", python, start, form, [form])


def _ray(model: Mapping[str, str]) -> Server:
    python = _environment("ray")

    def start(port: int) -> Launch:
        command = [str(python), "-m", f"{PEERS}.ray_app", str(port)]
        return Launch(command, {**model, "RAY_USAGE_STATS_ENABLED": "0"}, REPOSITORY, "/-/healthz")

    form = json_format("JSON", "/", list, price_of_each)
    return Server("Ray Serve", "ray", "one replica", python, start, form, [form])


def _empty() -> Server:
    def start(port: int) -> Launch:
        return Launch([ours.PYTHON, *UVICORN, "--port", str(port), f"{PEERS}.empty:app"], {}, REPOSITORY, "/")

    form = replace(json_format("JSON", "/", lambda rows: {"rows": rows}, list), prices=None)
    about = "the same web server, a handler that does nothing"
    return Server("empty handler", "empty", about, Path(ours.PYTHON), start, form, [])


def _environment(name: str) -> Path:
    return REPOSITORY / ".gavel/bench" / name / "bin/python"
