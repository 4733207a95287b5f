"""``register`` in a process of its own, forked from one that has MLflow imported already, so that it can be killed."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerProcess

from pipeline import version_record
from pipeline.register import RunContext, register
from pipeline.registry import Registry
from pipeline.store import open_store
from pipeline.workspace import Ref
from tests.pipeline.tiny_model import DATASET, Folders

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["mlflow", "mlflow.onnx", "mlflow.pyfunc", "pandas", "pyarrow.parquet", "matplotlib.figure"]
)


def context(run_key: str) -> RunContext:
    return RunContext(run_key, "car_price_daily", run_key, "2015-06-10", "scheduled", "", "http://airflow/run")


def start(url: str, store_uri: str, folders: Folders, run_key: str) -> ForkServerProcess:
    """Begin to register; the caller joins."""
    child = CONTEXT.Process(target=_register, args=(url, store_uri, folders.bundle_ref, folders.trained_ref, run_key))
    child.start()
    return child


def _register(url: str, store_uri: str, bundle: Ref, trained: Ref, run_key: str) -> None:
    version_record.draw = lambda *arguments: {"plot": b"PNG"}  # the plots take most of the time and are not the matter
    register(DATASET, open_store(store_uri), Registry(url), bundle, trained, context(run_key))
