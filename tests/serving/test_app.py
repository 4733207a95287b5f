"""serving/app.py"""

import subprocess
import sys
import threading

from starlette.testclient import TestClient

from serving.app import create_app
from tests.serving.process import REPOSITORY

FORBIDDEN = ["sklearn", "pandas", "mlflow", "onnx", "airflow", "skl2onnx", "boto3", "scipy"]


def test_no_training_library_is_imported():
    """A fresh interpreter that has imported the application knows none of them."""
    code = f"import sys, serving.app, serving.__main__; print([m for m in {FORBIDDEN} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_of_the_pipeline_only_the_contract_is_imported():
    """The image of the serving process needs pipeline/contract and nothing beside it."""
    code = "import sys, serving.app; print(sorted(m for m in sys.modules if m.startswith('pipeline')))"
    found = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    names = ["", ".contract", ".contract.bundle", ".contract.channel", ".contract.schema", ".contract.status"]
    assert found.stdout.strip() == str([f"pipeline{name}" for name in names])


def test_the_thread_lives_as_long_as_the_application(settings):
    """It starts with the application and is gone after it."""

    def threads():
        return [thread for thread in threading.enumerate() if thread.name == "reconciler"]

    assert not threads()
    with TestClient(create_app(settings)):
        assert len(threads()) == 1
    assert not threads()
