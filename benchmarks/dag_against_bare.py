"""The wall time of one Airflow run against a bare script that makes the same fits, one after the other.

    make run SOURCE=folder:FILE.parquet DAY=2015-06-19        # a running stack that reads the file
    PYTHONPATH=. .venv/bin/python benchmarks/dag_against_bare.py FILE.parquet LAST_DAY WINDOW_DAYS [REPEATS]

prints a JSON object: seconds of each run, of each task, and the ratio of the medians. A run with a window that was
used before would find everything done, so each repeat takes a window one day shorter, for both.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from local import keys
from local.airflow_client import ENDED, Airflow
from local.keys import USER
from local.layout import default_state
from local.running import Running

DAG = "car_price_daily"
BARE = Path(__file__).with_name("bare_fits.py")


def main(path: str, last: str, window_days: int, repeats: int) -> None:
    state = default_state()
    running = Running.read(state)
    if running is None:
        raise SystemExit("no stack is running here; see the head of this file")
    airflow = Airflow(running.ports.url("airflow"), USER, keys.read_or_make(state).password)
    airflow.log_in()
    dag_runs, bare_runs = [], []
    for repeat in range(repeats):
        window = window_days - repeat
        dag_runs.append(dag_run(airflow, last, window))
        bare_runs.append(bare_run(path, last, window))
    ratio = statistics.median(run["seconds"] for run in dag_runs) / statistics.median(r["seconds"] for r in bare_runs)
    print(json.dumps({"dag": dag_runs, "bare": bare_runs, "ratio": round(ratio, 3)}, indent=1))


def dag_run(airflow: Airflow, day: str, window: int) -> dict[str, object]:
    start = time.monotonic()
    run = airflow.trigger(DAG, {"day": day, "window_days": window})
    while airflow.run(DAG, run.id).state not in ENDED:
        time.sleep(0.5)
    seconds = round(time.monotonic() - start, 2)
    tasks = {name: task.seconds for name, task in airflow.tasks(DAG, run.id).items()}
    return {"window_days": window, "state": airflow.run(DAG, run.id).state, "seconds": seconds, "tasks": tasks}


def bare_run(path: str, day: str, window: int) -> dict[str, object]:
    environment = {**os.environ, "PYTHONPATH": str(BARE.parent.parent)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(BARE), path, day, str(window)], env=environment, check=True, capture_output=True
    )
    return {**json.loads(done.stdout), "seconds": round(time.monotonic() - start, 2)}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 1)
