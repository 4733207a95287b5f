"""What the tests of several steps share: one MLflow server for the whole session, a store, quick plots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.store import Store, open_store
from tests.pipeline.fake_serving import FakeServing
from tests.pipeline.mlflow_server import Proxy, mlflow_server


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server with an SQLite database of its own."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
def proxy(mlflow_url: str) -> Iterator[Proxy]:
    """A line to the MLflow server that a test can break."""
    made = Proxy(mlflow_url)
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file:{tmp_path}/store")


@pytest.fixture
def serving(store: Store) -> Iterator[FakeServing]:
    """A replica that follows the store's channel."""
    made = FakeServing(store)
    yield made
    made.close()
