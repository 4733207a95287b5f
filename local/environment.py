"""The environment variables of the local stack: one set for all its processes, so that they cannot disagree.

Not here: programs and their arguments (``services.py``), or what a variable means (each program's own manual).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from local.keys import USER, Keys
from local.layout import HOST, REPOSITORY, Stack

MARKER = "LOCAL_STACK_STATE"  # every process of the stack carries it; this is how `make stop` finds them
# PYTHON: also PYTHONDONTWRITEBYTECODE, with which every process would compile Airflow and MLflow anew.
FOREIGN = ("AIRFLOW", "MLFLOW_", "_MLFLOW_", "SERVING_", "PYTHON", "OMP_WAIT_POLICY")


def environment(outer: Mapping[str, str], stack: Stack, keys: Keys) -> dict[str, str]:
    """``outer`` without what would steer these programs from outside, and with their settings."""
    kept = {name: value for name, value in outer.items() if not name.startswith(FOREIGN)}
    programs = REPOSITORY / ".venv" / "bin"
    direct = ",".join(filter(None, [outer.get("NO_PROXY") or outer.get("no_proxy"), HOST, "localhost"]))
    return {
        **kept,
        "NO_PROXY": direct,
        "no_proxy": direct,
        MARKER: str(stack.state.root),
        "PATH": f"{programs}{os.pathsep}{outer.get('PATH', os.defpath)}",
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONUNBUFFERED": "1",
        # How long OpenMP threads spin before they sleep. As it comes (for ever) a fit takes ten times as long while
        # the other processes of the stack want the same cores; 0 doubles it when they do not.
        "GOMP_SPINCOUNT": "1000",
        "ORT_DISABLE_TELEMETRY": "1",
        **_pipeline(stack, keys),
        **_serving(stack, keys),
        **MLFLOW,
        **_airflow(stack, keys),
    }


def _pipeline(stack: Stack, keys: Keys) -> dict[str, str]:
    return {
        "GAVEL_SOURCE": stack.source,
        "GAVEL_STORE": f"file:{stack.state.store}",
        "GAVEL_MLFLOW_URI": stack.ports.url("mlflow"),
        "GAVEL_SERVING_URLS": json.dumps([stack.ports.url("serving")]),
        "GAVEL_PUSH_TOKEN": keys.push_token,
        "GAVEL_SIGNING_KEY": str(stack.state.signing_key_file),
    }


def _serving(stack: Stack, keys: Keys) -> dict[str, str]:
    return {
        "SERVING_STORE": f"file:{stack.state.store}",
        "SERVING_MODEL": stack.model,
        "SERVING_HOST": HOST,
        "SERVING_PORT": str(stack.ports.serving),
        "SERVING_PUSH_TOKEN": keys.push_token,
        "SERVING_RELEASE_KEY": keys.release_key,
        "SERVING_STATE": str(stack.state.serving),
    }


MLFLOW = {
    "MLFLOW_ALLOW_MODEL_CODE_EXECUTION": "false",
    "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX": r"^models:/m-[0-9a-f]+$",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # scorers and judges, in processes of their own: not needed
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


def _airflow(stack: Stack, keys: Keys) -> dict[str, str]:
    url = stack.ports.url("airflow")
    ours = {
        # Airflow's programs share one SQLite file. On a busy machine a writer may wait longer than the 5 s that it has.
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{stack.state.airflow / 'airflow.db'}?timeout=30",
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(stack.state.passwords_file),
        "API__PORT": str(stack.ports.airflow),
        "API__BASE_URL": url,
        "API__SECRET_KEY": keys.api_secret,
        "API_AUTH__JWT_SECRET": keys.jwt_secret,
    }
    named = {f"AIRFLOW__{name}": value for name, value in {**AIRFLOW, **ours}.items()}
    return {"AIRFLOW_HOME": str(stack.state.airflow), **named}


# What differs from Airflow's own values, measured: without these a run of seven empty tasks takes 14 s, with them 5 s.
AIRFLOW = {
    "CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
    "CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__PARALLELISM": "4",  # processes forked at the start; a free one is there while the last one ends
    "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
    "API__HOST": HOST,
    "API__WORKERS": "1",
    "API__INSTANCE_NAME": "Gavel",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    # A task that ends while nobody looks holds its worker until the next heartbeat: 5 s by default.
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "WORKERS__EXECUTION_API_TIMEOUT": "30",
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.25",
    # After `make stop` in the middle of a task, or a crash, the next start takes the run up again at once.
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    # The same for what the triggerer watches: a new one takes it up once the old one has been silent for so long.
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    "USAGE_DATA_COLLECTION__ENABLED": "False",
}
