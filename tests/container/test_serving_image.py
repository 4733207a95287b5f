"""deploy/serving.Dockerfile, on a real engine: built, started as a careful operator would start it, reloaded, stopped."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.serving import tiny

pytestmark = pytest.mark.container

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "serving.Dockerfile"
BASE = os.environ.get("PYTHON_IMAGE", "python:3.13-slim-trixie")
CAREFUL = [
    "--read-only",
    "--tmpfs",
    "/tmp",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
    "--memory",
    "1g",
]
MAX_MEGABYTES = 220


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], cwd=ROOT, capture_output=True, text=True, check=check, timeout=600)


@pytest.fixture(scope="session")
def image() -> str:
    network = os.environ.get("DOCKER_BUILD_NETWORK", "default")
    docker(
        "build",
        "--network",
        network,
        "--build-arg",
        f"PYTHON_IMAGE={BASE}",
        "-f",
        str(DOCKERFILE),
        "-t",
        "gavel-serving:test",
        ".",
    )
    return "gavel-serving:test"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    tiny.go(store, 1)
    tmp_path.chmod(0o755)
    return store


@dataclass
class Container:
    name: str
    port: int
    key: str

    def ask(self, method: str, path: str, **more) -> requests.Response:
        headers = {"x-api-key": self.key} if self.key else {}
        return requests.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=10, **more)

    def inspect(self, form: str) -> str:
        return docker("inspect", "-f", form, self.name).stdout.strip()


def make_key(image: str, folder: Path) -> str:
    """A key made by the image's own command, in a credentials file that the server's user may read."""
    folder.chmod(0o777)
    add = ["python", "-m", "serving.keys", "add", "/made/credentials.json", "--name", "shop", "--role", "predict"]
    found = docker("run", "--rm", "-v", f"{folder}:/made", "--entrypoint", add[0], image, *add[1:])
    return next(word for word in found.stdout.split() if word.startswith("gavel_"))


@contextmanager
def running(image: str, store: Path, folder: Path, *more: str) -> Iterator[Container]:
    key, name = make_key(image, folder), f"gavel-test-{uuid.uuid4().hex[:8]}"
    mounts = ["-v", f"{store}:/store:ro", "-v", f"{folder}/credentials.json:/credentials.json:ro"]
    settings = ["-e", "SERVING_CREDENTIALS=/credentials.json", "-e", "SERVING_DRAIN_SECONDS=0", "-p", "127.0.0.1::8000"]
    docker("run", "-d", "--name", name, *CAREFUL, *mounts, *settings, *more, image)
    try:
        port = int(docker("port", name, "8000").stdout.rpartition(":")[2])
        container = Container(name, port, key)
        wait_until_ready(container)
        yield container
    finally:
        docker("rm", "-f", name, check=False)


def wait_until_ready(container: Container) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if container.ask("GET", "/readyz").ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.05)
    raise AssertionError(docker("logs", container.name).stderr)


def test_it_is_small(image: str) -> None:
    """At most 220 MB above its base image."""
    sizes = [int(docker("image", "inspect", "-f", "{{.Size}}", name).stdout) for name in (image, BASE)]
    assert sizes[0] - sizes[1] <= MAX_MEGABYTES * 1_000_000


def test_it_predicts_reloads_and_stops_with_nothing_but_what_it_needs(image: str, store: Path, tmp_path: Path) -> None:
    """Read-only root, no capabilities, another user than root, two workers: keys are asked for, a new release goes live."""
    with running(image, store, tmp_path, "-e", "SERVING_WORKERS=2") as container:
        body = {"rows": [tiny.ROW]}
        assert container.ask("POST", "/v1/predict", json=body).json()["predictions"] == [tiny.expected(1, tiny.ROW)]
        assert requests.post(f"http://127.0.0.1:{container.port}/v1/predict", json=body, timeout=10).status_code == 401
        tiny.go(store, 2)
        end = time.monotonic() + 20
        while container.ask("GET", "/v1/model").json()["version"] != 2:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert [w["version"] for w in container.ask("GET", "/v1/model").json()["workers"]] == [2, 2]
        assert container.inspect("{{.Config.User}}") == "10001:10001"
        docker("stop", "-t", "20", container.name)
        assert container.inspect("{{.State.ExitCode}}") == "0"


def test_the_engine_sees_whether_it_is_ready(image: str, store: Path, tmp_path: Path) -> None:
    """The image's own health check asks for a real prediction."""
    with running(image, store, tmp_path) as container:
        end = time.monotonic() + 40
        while container.inspect("{{.State.Health.Status}}") != "healthy":
            assert time.monotonic() < end, container.inspect("{{json .State.Health}}")
            time.sleep(0.5)


def test_without_keys_it_says_what_to_do_and_ends(image: str, store: Path) -> None:
    """It listens beyond loopback, so it does not start open to everybody."""
    found = docker("run", "--rm", *CAREFUL, "-v", f"{store}:/store:ro", image, check=False)
    assert found.returncode != 0
    assert "serving.keys add" in found.stderr
    assert "Traceback" not in found.stderr


def test_it_has_no_tool_to_install_or_train_anything(image: str) -> None:
    """What is not there cannot be misused."""
    code = "import importlib.util as u, json; print(json.dumps([n for n in %r if u.find_spec(n)]))"
    unwanted = ["sklearn", "pandas", "mlflow", "onnx", "airflow", "boto3", "pip", "pytest"]
    found = docker("run", "--rm", "--entrypoint", "python", image, "-c", code % unwanted)
    assert json.loads(found.stdout) == []
