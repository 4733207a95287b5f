"""What runs: the programs of the local stack and their arguments. Not here: their settings (``environment.py``)."""

from __future__ import annotations

from dataclasses import dataclass

from local.layout import HOST, REPOSITORY, Ports, State

MAIN = str(REPOSITORY / ".venv" / "bin" / "python")
SERVING = str(REPOSITORY / ".venv-serving" / "bin" / "python")


@dataclass(frozen=True, slots=True)
class Service:
    """A program under the supervisor. ``stop_seconds`` is how long it may take to end by itself."""

    name: str
    command: tuple[str, ...]
    stop_seconds: int = 5


def services(state: State, ports: Ports) -> tuple[Service, ...]:
    """All programs of the stack, in the order of starting.

    Airflow's four are what ``airflow standalone`` starts, without the log servers. One by one under the supervisor
    they are healthy in a third of the time, take half the memory, and one that dies comes back. The triggerer
    (200 MB) watches canaries and the alias in MLflow.
    """
    airflow = (MAIN, "-m", "airflow")
    return (
        Service("mlflow", _mlflow(state, ports)),
        Service("serving", (SERVING, "-m", "serving")),
        Service("airflow-api-server", (*airflow, "api-server")),
        Service("airflow-scheduler", (*airflow, "scheduler", "--skip-serve-logs")),
        Service("airflow-dag-processor", (*airflow, "dag-processor")),
        Service("airflow-triggerer", (*airflow, "triggerer", "--skip-serve-logs")),
    )


def _mlflow(state: State, ports: Ports) -> tuple[str, ...]:
    hosts = [f"{host}{port}" for host in (HOST, "localhost") for port in ("", f":{ports.mlflow}")]
    return (
        *(MAIN, "-m", "mlflow", "server", "--workers", "1", "--host", HOST, "--port", str(ports.mlflow)),
        *("--backend-store-uri", f"sqlite:///{state.mlflow / 'mlflow.db'}"),
        *("--serve-artifacts", "--artifacts-destination", str(state.mlflow / "artifacts")),
        *("--allowed-hosts", ",".join(hosts)),
    )
