"""An Airflow home of the tests' own: its settings must stand before Airflow is imported for the first time."""

import atexit
import os
import shutil
import tempfile
import warnings
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
NEEDED = "AIRFLOW__CORE__UNIT_TEST_MODE"
KEY = "for the tests, long enough for an HMAC with SHA-512: " + "x" * 64


def make_airflow_home() -> None:
    """Once a process; imports Airflow, whose own warnings are not ours to mend."""
    if NEEDED not in os.environ:
        home = tempfile.mkdtemp(prefix="airflow-")
        atexit.register(shutil.rmtree, home, ignore_errors=True)
        os.environ |= {
            NEEDED: "False",
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
