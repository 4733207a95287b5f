"""What the tasks of every DAG here share: when they are tried again, where a run is to be seen, its line in the log.

Not here: the tasks. Airflow reads no DAG from this file (``.airflowignore``).
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule, conf, get_current_context

from pipeline.errors import TryAgain

Json = dict[str, Any]

# A failure is tried again only where that helps; a killed process has no exception and is tried again as well.
RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(TryAgain, action=RetryAction.DEFAULT),
        RetryRule(Exception, action=RetryAction.FAIL, reason="trying again with the same input would not help"),
    ]
)
DEFAULTS = {
    "retries": 3,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": 2,
    "max_retry_delay": timedelta(minutes=5),
    "retry_policy": RETRY_POLICY,
    "execution_timeout": timedelta(hours=1),
}


def run_page() -> str:
    """The address of this run in Airflow's pages."""
    run = get_current_context()["dag_run"]
    page = f"/dags/{quote(run.dag_id, safe='')}/runs/{quote(run.run_id, safe='')}"
    return conf.get("api", "base_url", fallback="").rstrip("/") + page


def told(result: Json) -> Json:
    """The step's result, after its line for people is logged."""
    logging.getLogger("gavel").info(result["message"])
    return result
