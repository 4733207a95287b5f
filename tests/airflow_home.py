"""An Airflow home of the tests' own: its settings must stand before Airflow is imported for the first time."""

import atexit
import functools
import os
import shutil
import tempfile
import warnings
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
KEY = "for the tests, long enough for an HMAC with SHA-512: " + "x" * 64


@functools.cache
def make_airflow_home() -> None:
    """Once a process, not shared with other workers of pytest; imports Airflow, whose own warnings are not ours to mend."""
    home = tempfile.mkdtemp(prefix="airflow-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ |= {
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": f"{home}/passwords.json",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__API__BASE_URL": "http://127.0.0.1:8080",
        "AIRFLOW__API__SECRET_KEY": KEY,
        "AIRFLOW__API_AUTH__JWT_SECRET": KEY,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import airflow.sdk  # noqa: F401


def make_tables() -> None:
    """The metadata database of this home."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.utils.db import initdb

        initdb()
