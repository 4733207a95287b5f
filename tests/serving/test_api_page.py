"""docs/api.md says what the server does"""

import os
import re
import subprocess

import pytest

from pipeline.contract.bundle import Golden
from pipeline.contract.column import MAX_TEXT
from pipeline.contract.schema import Column, Schema
from serving.http_protocol import MAX_OVERHEAD_BYTES
from serving.notes import MAX_NOTES
from serving.responses import MAX_ERRORS, PROBLEMS
from serving.settings import Settings
from tests.serving import tiny
from tests.serving.process import REPOSITORY, TOKEN, serving, wait_for

PAGE = (REPOSITORY / "docs" / "api.md").read_text()
EXAMPLES = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
SCHEMA = Schema(
    (
        Column("year", "numeric", minimum=1900, maximum=2100),
        Column("make", "categorical"),
        Column("odometer", "numeric", minimum=0),
        Column("mmr", "numeric", minimum=1, required=True),
    ),
    "USD",
)


def table(heading):
    """The rows of the first table behind a line, each a list of cells."""
    lines = PAGE.split(f"{heading}\n", 1)[1].split("\n|---", 1)[1].splitlines()[1:]
    rows = lines[: lines.index("")] if "" in lines else lines
    return [[cell.strip("` ") for cell in line.strip("|").split("|")] for line in rows]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    root = tmp_path_factory.mktemp("page") / "store"
    root.mkdir()
    golden = Golden(({"mmr": 5_000.0},), ({"price": 1_000, "low": 900, "high": 1_100},))
    tiny.go(root, 1, tiny.bundle(1, SCHEMA, golden=golden))
    with serving(root) as served:
        wait_for(lambda: served.ask("GET", "/readyz").status == 200)
        yield served


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_works(served, example):
    """As it stands on the page, but for the port."""
    command = example.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{served.port}")
    command = command.replace("curl ", "curl --silent --show-error --fail-with-body ")
    environment = {**os.environ, "SERVING_PUSH_TOKEN": TOKEN, "NO_PROXY": "*"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], env=environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b""), done.stdout
    assert done.stdout


def test_the_errors_are_those_of_the_code():
    """Code, status and title, none missing and in the same order."""
    shown = [(code, int(status), title) for code, status, title in table("## Errors")]
    assert shown == [(code, status, title) for code, (status, title) in PROBLEMS.items()]


def test_the_errors_of_rows_are_those_of_the_code():
    """Every code that a RowError is made with, and no other."""
    files = [*(REPOSITORY / "pipeline" / "contract").glob("*.py"), *(REPOSITORY / "serving").glob("**/*.py")]
    code = r'RowError\(\s*[^"()]*(?:\([^()]*\))?[^"()]*(?:"",\s*)?"(\w+)"'
    made = {found for file in files for found in re.findall(code, file.read_text())}
    assert {row[0] for row in table("Those of rows:")} == made


def test_the_limits_are_those_of_the_code():
    """Also those that a setting changes, by their defaults."""
    default = {name: field.default for name, field in Settings.model_fields.items()}
    limits = [default["max_rows"], default["max_body_bytes"], MAX_OVERHEAD_BYTES, MAX_TEXT, MAX_ERRORS, default["max_waiting"]]  # fmt: skip
    assert [int(most.split()[0]) for _, most in table("## Limits")] == limits
    assert MAX_ERRORS == MAX_NOTES
