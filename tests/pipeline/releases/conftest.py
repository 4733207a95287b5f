"""Stores for the tests of ``pipeline/releases``: a folder, and a bucket of a real S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from pipeline.store import Store, open_store
from pipeline.store.s3 import S3Store
from tests.s3_server import BUCKET, running_s3


@pytest.fixture(scope="module")
def opened_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    with running_s3(tmp_path_factory.mktemp("s3")) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield S3Store(BUCKET, "x")


@pytest.fixture
def bucket(opened_bucket: S3Store) -> S3Store:
    """A store of its own on the opened bucket."""
    opened_bucket._root = f"{uuid4()}/"
    return opened_bucket


@pytest.fixture(params=["file", "s3"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        return request.getfixturevalue("bucket")
    return open_store(f"file:{tmp_path}/store")
