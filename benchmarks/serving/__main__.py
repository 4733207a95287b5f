"""``make bench``: the figures of serving, side by side with its peers, in one run on one model.

    python -m benchmarks.serving [--parts a,c] [--peers fastapi,mlflow] [--seconds 5] [--rounds 3]
                                 [--source folder:FILE.parquet] [--day 2015-06-03] [--window-days 30]

Runs in .venv-serving; has the model made in .venv. Not here: how a part is measured (the file of its name).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.serving import gathering, load, material, reloading, reloads, rounds, soak, start
from benchmarks.serving.material import Material
from benchmarks.serving.ours import REPOSITORY
from benchmarks.serving.results import FILE, Results
from benchmarks.serving.servers import all_servers

PARTS = {
    "a": "one row a request",
    "b": "1,000 rows a request",
    "c": "50 reloads under load",
    "d": "400 reloads: memory",
    "e": "throughput while reloading",
    "f": "gathering rows of concurrent requests",
    "g": "start and memory",
}
ALWAYS = {"gavel", "empty"}
BENCH = REPOSITORY / ".gavel/bench"


def main(arguments: list[str]) -> None:
    options = parse(arguments)
    load.check_wrk()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("make bench needs two cores: one for the server and one for the load")
    os.sched_setaffinity(0, {load.CORE})
    served = material.read(options.model) if options.model else made(options.source, options.day, options.window_days)
    results = Results(served, options.results)
    scratch = BENCH / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        _measure(options, served, results, scratch)
    finally:
        print(f"\n{results.tables()}\n{options.results}")
    shutil.rmtree(scratch)


def _measure(options: argparse.Namespace, served: Material, results: Results, scratch: Path) -> None:
    before = os.getloadavg()[0]
    if options.parts & {"a", "b"}:
        servers = [s for s in all_servers(served, scratch) if s.peer in options.peers | ALWAYS]
        wanted = rounds.Wanted("a" in options.parts, "b" in options.parts, options.seconds, options.rounds)
        for name, figures in rounds.measure(served, servers, wanted, BENCH / "logs").items():
            results.add(name, figures, before)
    for part, measure in (("c", reloads), ("d", soak), ("e", reloading), ("f", gathering), ("g", start)):
        if part in options.parts:
            before = os.getloadavg()[0]
            print(f"{PARTS[part]} ...", flush=True)
            name = measure.__name__.rpartition(".")[2]
            results.add(name, measure.measure(served, scratch / name, options.seconds, options.rounds), before)


def made(source: str, day: str, window_days: int) -> Material:
    """The material of this source; made once, then found again until the code that makes it changes."""
    code = hashlib.sha256()
    for path in (Path(__file__).with_name("model.py"), *sorted((REPOSITORY / "pipeline").rglob("*.py"))):
        code.update(path.read_bytes())
    key = hashlib.sha256(f"{source} {day} {window_days} {code.hexdigest()}".encode()).hexdigest()[:16]
    folder = BENCH / "models" / key
    if not (folder / material.ROWS).exists():
        print(f"Making a model of {source} up to {day} ...", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        command = [str(REPOSITORY / ".venv/bin/python"), "-m", "benchmarks.serving.model"]
        subprocess.run([*command, source, day, str(window_days), str(folder)], cwd=REPOSITORY, check=True)
    return material.read(folder)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=(__doc__ or "").splitlines()[0])
    letters = ", ".join(f"{letter}: {about}" for letter, about in PARTS.items())
    parser.add_argument("--parts", type=_names, default=set(PARTS), help=letters)
    parser.add_argument("--peers", type=_names, default={"fastapi", "mlflow", "mlserver", "bentoml", "ray"})
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--source", default="simulated:", help="what the model learns from: simulated: or folder:PATH")
    parser.add_argument("--day", default="2015-06-19", help="the newest day that it learns from")
    parser.add_argument("--window-days", type=int, default=30)
    parser.add_argument("--model", type=Path, help="a folder that model.py made, in place of the three above")
    parser.add_argument("--results", type=Path, default=FILE)
    return parser.parse_args(arguments)


def _names(text: str) -> set[str]:
    return {name.strip() for name in text.split(",") if name.strip()}


if __name__ == "__main__":
    main(sys.argv[1:])
