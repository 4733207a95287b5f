"""The live OpenAPI document keeps its word: schemathesis derives requests from it, and judges the answers by it.

A short run here; `make test-fuzz` runs the long one.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import tiny
from tests.serving.process import serving, wait_for

PROGRAM = Path(sys.executable).with_name("schemathesis")
# JSON Schema cannot say that columns must be equally long, so some requests that fit it are refused all the same.
NOT_CHECKED = "positive_data_acceptance"


def fuzz(root, folder, cases, phases, *more):
    """The report of a run on a real process that answers with a tiny model, and how many requests it has made."""
    tiny.go(root, 1)
    with serving(root, max_rows=50) as served:
        wait_for(lambda: served.ask("GET", "/readyz").status == 200)
        options = ["--phases", phases, "--max-examples", str(cases), "--seed", "1", "--generation-database", "none"]
        checks = ["--checks", "all", "--exclude-checks", NOT_CHECKED]
        address = f"http://127.0.0.1:{served.port}/openapi.json"
        command = [PROGRAM, "run", address, *options, *checks, "--continue-on-failure", "--no-color", *more]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]
        assert "Traceback" not in served.log.read_text()
    return int(re.search(r"(\d+) generated", done.stdout)[1])


def test_no_request_derived_from_the_document_is_answered_wrongly(root, tmp_path):
    """No 5xx, no answer that the document does not know, no body taken that it forbids."""
    assert fuzz(root, tmp_path, 100, "examples,coverage,fuzzing") > 1_000


@pytest.mark.fuzz
@pytest.mark.timeout(3_600)
def test_two_thousand_requests_an_operation(root, tmp_path):
    """The same, in every phase, with 2,000 requests to each operation that takes a body."""
    assert fuzz(root, tmp_path, 2_000, "examples,coverage,fuzzing,stateful") > 4 * 2_000
