"""What the tests of access need: a credentials file, and the head of a request as a server gives it."""

from __future__ import annotations

import hashlib
import json

import pytest

AWS_ID, AWS_SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def key_entry(key, name, role, **more):
    return {"name": name, "role": role, "sha256": hashlib.sha256(key.encode()).hexdigest(), **more}


def aws_entry(**more):
    return {
        "name": "signer",
        "role": "predict",
        "access_key_id": AWS_ID,
        "secret_access_key": AWS_SECRET,
        **more,
    }


DOCUMENT = {
    "keys": [
        key_entry("predict-key", "alice", "predict"),
        key_entry("admin-key", "root", "admin"),
        key_entry("old-key", "bob", "admin", not_after="2020-01-01T00:00:00Z"),
    ],
    "aws": [aws_entry()],
}


@pytest.fixture
def credentials(tmp_path):
    """A credentials file with keys of both roles, one that has expired, and an AWS key pair."""
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps(DOCUMENT))
    return path


def head(path="/v1/predict", method="POST", query=b"", raw_path=None, **headers):
    """An HTTP scope; ``x_api_key="k"`` is the header x-api-key."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode() if raw_path is None else raw_path,
        "query_string": query,
        "headers": [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()],
    }
