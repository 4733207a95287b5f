"""What ``make up`` does after the services are up: lets the newest day through the DAG if nothing is live, then tells.

Not here: starting the services (``docker-compose.yaml``).
"""

from __future__ import annotations

import os
import sys
import time

import requests
from rich.console import Console

from compose.login import places
from compose.make_secrets import ADMIN
from local.airflow_client import Airflow
from local.daily_run import LOG_LINES, newest_day, run_day
from local.start import DAG
from local.summary import print_summary
from pipeline import datasets
from pipeline.errors import GavelError
from pipeline.releases import live_release
from pipeline.settings import Settings, read_settings
from pipeline.store import open_store

AIRFLOW = "http://airflow-api-server:8080"
PATIENCE_SECONDS = 180


def log_in(password: str) -> Airflow:
    """Airflow, once it knows the DAG: its files are read some seconds after it is up."""
    airflow = Airflow(AIRFLOW, ADMIN, password)
    airflow.log_in()
    airflow.warm()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not airflow.knows(DAG):
        if time.monotonic() > deadline:
            raise SystemExit(f"Airflow has not read the DAG {DAG}: {airflow.import_error(DAG) or 'its log says why'}")
        time.sleep(1)
    return airflow


def train(settings: Settings, airflow: Airflow, console: Console) -> bool:
    """Let the newest day through, unless a release is live already; False when the run failed."""
    model = datasets.load(settings.dataset).model_name
    if live_release(open_store(settings.store, read_only=True), model) is not None:
        return True
    day = newest_day(settings.source, settings.dataset, settings.seed)
    outcome = run_day(airflow, day, console)
    if not outcome.ok:
        console.print(
            f"The task {outcome.failed} failed; the last lines of its log:", *outcome.log[-LOG_LINES:], sep="\n"
        )
    return outcome.ok


def main() -> int:
    console = Console(soft_wrap=False)
    settings = read_settings()
    try:
        ok = train(settings, log_in(os.environ["LOGIN_PASSWORD"]), console)
        console.print()
        print_summary(places(settings, os.environ), settings.store, console)
    except (GavelError, requests.RequestException) as error:
        console.print(f"Not everything is up: {error}", highlight=False, markup=False)
        return 1
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
