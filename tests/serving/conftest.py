"""What several serving tests need."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from serving.app import create_app
from serving.settings import Settings
from tests.serving import tiny
from tests.serving.process import TOKEN, wait_for


@pytest.fixture
def root(tmp_path):
    """An empty release store."""
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def loaded():
    """Release 1 in memory."""
    from serving.loader import load

    made = tiny.bundle(1)
    return load(tiny.MODEL, tiny.release_of(1, made), made.files)


@pytest.fixture
def settings(root):
    return Settings(store=f"file:{root}", push_token=TOKEN, poll_seconds=0.05)


@pytest.fixture
def empty(settings):
    """A client of an application that has no release yet."""
    with TestClient(create_app(settings), raise_server_exceptions=True) as client:
        yield client


@pytest.fixture
def client(root, empty):
    """A client of an application with release 1 live."""
    tiny.go(root, 1)
    wait_for(lambda: empty.get("/readyz").status_code == 200)
    return empty
