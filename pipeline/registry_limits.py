"""How long MLflow is waited for, what it may do in this process, and its errors in our words.

Not here: what is asked of it (``pipeline/registry.py``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import GavelError, GiveUp, RegistryUnavailable

TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"

# At most 3 tries of 12 s with 1 to 4 s between them: an MLflow that hangs is reported within 45 s (the
# client's own default is 8 tries of 120 s). An operator's own values win.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    TIMEOUT: "12",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ALLOW_MODEL_CODE_EXECUTION": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "GIT_PYTHON_REFRESH": "quiet",
}
# The server answers an upload when its own store has the whole file: longer, but one retry only.
UPLOAD = {TIMEOUT: "25", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
PASSING = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED"}
SERVER_ERROR = 500


class RegistryRefused(GiveUp):
    """MLflow answered that it will not do what was asked."""


def limit() -> None:
    """Set the limits for this process; MLflow reads them from the environment only."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


@contextmanager
def patience() -> Iterator[None]:
    """The limits of an upload. MLflow reads them from the environment at each request; there is no argument."""
    before = {name: os.environ[name] for name in UPLOAD}
    longer = max(before[TIMEOUT], UPLOAD[TIMEOUT], key=int)  # an operator's longer time stays
    os.environ.update({**UPLOAD, TIMEOUT: longer})
    try:
        yield
    finally:
        os.environ.update(before)


def translated(error: Exception, uri: str) -> GavelError:
    """An error of MLflow or of the line to it in our words: is it worth trying again?"""
    status = getattr(getattr(error, "response", None), "status_code", None)
    code = getattr(error, "error_code", "INTERNAL_ERROR")
    said = " ".join(str(error).split())[:300]
    if "Max retries exceeded" in said or "timed out" in said:
        return RegistryUnavailable(f"MLflow at {uri} does not answer; is it running? ({said})")
    if code in PASSING if status is None else status >= SERVER_ERROR:
        return RegistryUnavailable(f"MLflow at {uri} failed; try again later ({said})")
    return RegistryRefused(f"MLflow at {uri} refused: {said}")
