"""Starting the stack and waiting until it is up. Not here: ending it (``running.py``), or the daily run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version

from rich.console import Console

from local import keys as secrets
from local.airflow_client import Airflow
from local.board import Board
from local.environment import environment
from local.errors import CannotRun
from local.health import Check, Watch, airflow_is_up, answers, tail
from local.layout import REPOSITORY, Stack, State
from local.running import Running
from local.services import MAIN, services
from local.supervisor import Supervisor

DAG = "car_price_daily"
NAMES = ("MLflow", "serving", "Airflow")


def start(stack: Stack, console: Console) -> Airflow:
    """Start all services and return when all are up, with somebody logged in at Airflow.

    Raises:
        CannotRun: a service does not come up.
    """
    variables = environment(os.environ, stack, secrets.read_or_make(stack.state))
    supervisor, programs = Supervisor(stack.state), services(stack.state, stack.ports)
    with Board(console, "Starting", NAMES) as board:
        process = supervisor.start(programs, variables)
        Running.of(process.pid, stack.ports, stack.source).write(stack.state)
        for name in NAMES:
            board.set(name, "working")
        for program in programs:
            if program.name == "airflow-api-server":
                _make_tables(stack.state, variables, board)
            supervisor.start_program(program.name)
        return _all_up(stack, board)


def take_up(stack: Stack, console: Console) -> Airflow:
    """The same for services that somebody else has started or is starting."""
    with Board(console, "Looking at the services", NAMES) as board:
        return _all_up(stack, board)


def _all_up(stack: Stack, board: Board) -> Airflow:
    running = Running.read(stack.state)
    if running is None:
        raise CannotRun("the services were stopped meanwhile")
    password = secrets.read_or_make(stack.state).password
    airflow = Airflow(stack.ports.url("airflow"), secrets.USER, password)
    for name in NAMES:
        board.set(name, "working")
    since = datetime.fromtimestamp(running.started, UTC)
    Watch(Supervisor(stack.state), stack.state.logs, board).wait(_checks(stack, airflow, since))
    return airflow


def _checks(stack: Stack, airflow: Airflow, since: datetime) -> list[Check]:
    urls = {name: stack.ports.url(name) for name in stack.ports.to_dict()}
    parts = ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")
    return [
        Check("MLflow", ("mlflow",), lambda: answers(urls["mlflow"] + "/health"), urls["mlflow"]),
        Check("serving", ("serving",), lambda: answers(urls["serving"] + "/livez"), urls["serving"]),
        Check("Airflow", parts, lambda: airflow_is_up(airflow, DAG, since), urls["airflow"]),
    ]


def _make_tables(state: State, variables: Mapping[str, str], board: Board) -> None:
    """Make or bring up to date the tables of Airflow, once for each release of it."""
    release = version("apache-airflow-core")
    if state.migrated_file.exists() and state.migrated_file.read_text() == release:
        return
    board.set("Airflow", "working", "making its tables")
    log = state.logs / "airflow-db-migrate.log"
    with log.open("ab") as out:
        command = [MAIN, "-m", "airflow", "db", "migrate"]
        code = subprocess.run(
            command, env=dict(variables), cwd=REPOSITORY, stdout=out, stderr=out, check=False, start_new_session=True
        ).returncode
    if code != 0:
        raise CannotRun(f"Airflow could not make its tables; the last lines of {log}:\n{tail(log)}")
    state.migrated_file.write_text(release)
