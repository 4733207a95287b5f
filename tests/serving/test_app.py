"""serving/app.py"""

import json
import subprocess
import sys
import threading

from starlette.testclient import TestClient

from serving.app import create_app
from tests.serving.process import REPOSITORY

FORBIDDEN = ["sklearn", "pandas", "mlflow", "onnx", "airflow", "skl2onnx", "boto3", "scipy"]


CONTRACT = [
    "",
    ".contract",
    ".contract.bundle",
    ".contract.certificate",
    ".contract.channel",
    ".contract.column",
    ".contract.schema",
    ".contract.status",
]


def test_no_training_library_and_no_step_of_the_pipeline_is_imported():
    """A fresh interpreter that has imported the application knows none of them; of the pipeline only the contract."""
    code = "import json, sys, serving.app, serving.__main__; print(json.dumps(sorted(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    modules = json.loads(found.stdout)
    assert not set(FORBIDDEN) & set(modules)
    assert [name for name in modules if name.split(".")[0] == "pipeline"] == [f"pipeline{name}" for name in CONTRACT]


def test_the_thread_lives_as_long_as_the_application(settings):
    """It starts with the application and is gone after it."""

    def threads():
        return [thread for thread in threading.enumerate() if thread.name == "reconciler"]

    assert not threads()
    with TestClient(create_app(settings)):
        assert len(threads()) == 1
    assert not threads()
