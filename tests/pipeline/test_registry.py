"""The registry: one run per key and one version per fingerprint, whatever happens on the line to MLflow."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from pipeline.contract.bundle import sha256
from pipeline.errors import RegistryUnavailable
from pipeline.registry import Registry
from pipeline.registry_entries import Aliased, ModelFolder, Run, Version
from pipeline.registry_limits import ENVIRONMENT, UPLOAD, RegistryRefused
from tests.pipeline.mlflow_server import Proxy, free_port
from tests.pipeline.tiny_model import model_bytes

CREATE_RUN, CREATE_MODEL, CREATE_VERSION = "/runs/create", "/logged-models", "/model-versions/create"


@pytest.fixture
def model() -> str:
    """A registered model's name that no other test uses."""
    return f"model_{secrets.token_hex(4)}"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits, so that a test of a hanging server takes seconds."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")


def start(registry: Registry, model: str, key: str = "dag/run") -> Run:
    return registry.start_run(
        model, "about", key=key, fingerprint="f1", name="a run", tags={"x": "y"}, attempt=secrets.token_hex(4)
    )


def folder() -> ModelFolder:
    model = model_bytes()
    return ModelFolder(
        files={"model.onnx": model, "code/loader.py": b"# nothing"},
        inputs=[("mmr", "double", True)],
        outputs=["price"],
        example=pd.DataFrame({"mmr": [1.0]}),
        requirements=["mlflow", "onnxruntime"],
        loader="loader",
        sha256=sha256(model),
    )


def version_of(registry: Registry, model: str, run: Run, fingerprint: str = "f1") -> Version:
    logged = registry.add_model(run, model, {"fingerprint": fingerprint}, {}, folder())
    tags = {"fingerprint": fingerprint}
    return registry.add_version(model, "about", run=run, logged_model=logged, tags=tags, card="card")


def numbers(registry: Registry, model: str) -> list[int]:
    return sorted(int(found.version) for found in registry.client.search_model_versions(f"name = '{model}'"))


def once(path: str, how: str) -> Callable[[str, str], str]:
    """Break the first request to a path."""
    left = itertools.count()

    def spoil(method: str, asked: str) -> str:
        return how if method == "POST" and asked.split("?", maxsplit=1)[0].endswith(path) and next(left) == 0 else ""

    return spoil


def test_a_run_is_made_once_per_key(mlflow_url: str, model: str) -> None:
    """The same key finds its run again; another key is another run."""
    registry = Registry(mlflow_url)
    first = start(registry, model)
    assert start(registry, model) == first
    assert start(registry, model, "dag/other").id != first.id
    assert first.url == f"{mlflow_url}/#/experiments/{first.experiment_id}/runs/{first.id}"


def test_a_quote_in_a_key_is_no_trouble(mlflow_url: str, model: str) -> None:
    """A run key is free text of a person who triggered a run."""
    registry = Registry(mlflow_url)
    assert start(registry, model, 'dag/it\'s "me"') == start(registry, model, 'dag/it\'s "me"')


def test_a_lost_reply_makes_no_second_run(proxy: Proxy, model: str) -> None:
    """MLflow made the run, the client never heard of it and asks again by itself: one run is left."""
    proxy.spoil = once(CREATE_RUN, "lost reply")
    registry = Registry(proxy.url)
    run = start(registry, model)
    assert sum(CREATE_RUN in line for line in proxy.seen) == 2
    assert [found.info.run_id for found in registry.client.search_runs([run.experiment_id])] == [run.id]


def test_a_lost_reply_makes_no_second_version(proxy: Proxy, model: str) -> None:
    """MLflow made the version, the client never heard of it and asks again by itself: one version is left."""
    registry = Registry(proxy.url)
    run = start(registry, model)
    proxy.spoil = once(CREATE_VERSION, "lost reply")
    assert version_of(registry, model, run).number == 1
    assert sum(CREATE_VERSION in line for line in proxy.seen) == 2
    assert numbers(registry, model) == [1]


def test_a_version_whose_reply_never_came_is_found_by_the_next_try(proxy: Proxy, model: str, quick: None) -> None:
    """Every reply is lost, the call fails, and the repetition finds the version instead of making one."""
    registry = Registry(proxy.url)
    run = start(registry, model)
    logged = registry.add_model(run, model, {}, {}, folder())
    proxy.spoil = lambda method, path: "lost reply" if CREATE_VERSION in path else ""
    with pytest.raises(RegistryUnavailable):
        registry.add_version(model, "", run=run, logged_model=logged, tags={"fingerprint": "f1"}, card="")
    proxy.spoil = lambda method, path: ""
    found = registry.find_version(model, "f1")
    assert found is not None
    assert numbers(registry, model) == [found.number] == [1]


def test_eight_at_once_make_one_version(mlflow_url: str, model: str) -> None:
    """Whoever comes second removes its own version and takes the first."""
    registry = Registry(mlflow_url)
    run = start(registry, model)
    logged = registry.add_model(run, model, {}, {}, folder())
    together = threading.Barrier(8)

    def add(_: int) -> int:
        together.wait()
        made = registry.add_version(model, "", run=run, logged_model=logged, tags={"fingerprint": "f1"}, card="")
        return made.number

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(add, range(8))) == {1}
    assert numbers(registry, model) == [1]


def test_other_fingerprints_are_other_versions(mlflow_url: str, model: str) -> None:
    """A version knows its run, its model folder and its tags."""
    registry = Registry(mlflow_url)
    run = start(registry, model)
    first, second = version_of(registry, model, run, "f1"), version_of(registry, model, run, "f2")
    assert (first.number, second.number) == (1, 2)
    assert second.run_id == run.id
    assert registry.find_version(model, "f2") == second
    assert registry.find_version(model, "f3") is None


def test_what_lost_attempts_left_is_removed(mlflow_url: str, model: str) -> None:
    """Only the model folder of the version stays in the run."""
    registry = Registry(mlflow_url)
    run = start(registry, model)
    registry.add_model(run, model, {}, {}, folder())
    registry.client.create_logged_model(run.experiment_id, model, run.id)
    kept = version_of(registry, model, run).logged_model
    registry.remove_other_models(run, keep=kept)
    left = registry.client.search_logged_models([run.experiment_id])
    assert [found.model_id for found in left] == [kept]


def test_alias_and_tags(mlflow_url: str, model: str) -> None:
    """An alias names one version and moves; there is none before it is set, nor of a model that is not there."""
    registry = Registry(mlflow_url)
    assert registry.alias(model) is None
    assert registry.aliased(model) == Aliased(None, None)
    run = start(registry, model)
    version_of(registry, model, run, "f1")
    version_of(registry, model, run, "f2")
    assert registry.alias(model) is None
    registry.set_alias(model, 1)
    registry.set_alias(model, 2)
    assert registry.alias(model) == 2
    assert registry.aliased(model) == Aliased(2, 2)
    registry.client.set_registered_model_alias(model, "champion", "1")
    assert registry.aliased(model) == Aliased(1, 2)  # a person was that
    registry.remove_alias(model)
    assert registry.aliased(model) == Aliased(None, None)
    registry.tag_version(model, 1, {"gate": "refused", "gate_reason": "too far off"})
    found = registry.find_version(model, "f1")
    assert found is not None
    assert found.tags["gate_reason"] == "too far off"


def test_a_server_that_is_away_is_said_in_one_sentence(quick: None) -> None:
    """Nobody listens: an error that says what to look at, within seconds."""
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(RegistryUnavailable, match=f"^MLflow at {url} does not answer; is it running?") as caught:
        start(Registry(url), "model")
    assert len(str(caught.value)) < 450


def test_a_server_that_hangs_is_given_up(proxy: Proxy, model: str, quick: None) -> None:
    """A server that takes the request and never answers ends in the same error, within the time limits."""
    proxy.spoil = lambda method, path: "hang"
    begin = time.monotonic()
    with pytest.raises(RegistryUnavailable, match="does not answer"):
        Registry(proxy.url).find_version(model, "f1")
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("limits", [ENVIRONMENT, {**ENVIRONMENT, **UPLOAD}])
def test_the_limits_add_up_to_less_than_a_minute(limits: dict[str, str]) -> None:
    """Every try to its end, with the pauses between them and MLflow's jitter of a second each."""
    retries, each = int(limits["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]), int(limits["MLFLOW_HTTP_REQUEST_TIMEOUT"])
    factor = int(limits["MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"])
    pauses = sum(factor * 2**number + 1 for number in range(retries))
    assert (retries + 1) * each + pauses <= 60


def test_a_no_is_not_tried_again(mlflow_url: str) -> None:
    """What MLflow refuses is refused the next time too."""
    with pytest.raises(RegistryRefused, match="refused"):
        Registry(mlflow_url).tag_version("no_such_model", 1, {"gate": "passed"})
