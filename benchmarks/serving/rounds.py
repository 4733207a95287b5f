"""One row a request and 1,000 rows a request, server after server, round after round: A B C, A B C, ...

Each turn starts the server anew, compares its answers with onnxruntime's, warms it up, and measures.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from benchmarks.serving import ours, process
from benchmarks.serving.answers import WrongAnswer, check, check_guarded
from benchmarks.serving.formats import Format
from benchmarks.serving.load import Load, run_wrk
from benchmarks.serving.material import Material
from benchmarks.serving.process import NotReady, free_port, running
from benchmarks.serving.results import spread
from benchmarks.serving.servers import Server

ONE_CONNECTIONS, MANY_CONNECTIONS, MANY = 16, 2, 1_000
WARM_SECONDS = 1.0
NOT_INSTALLED = "it is not installed here"


@dataclass(frozen=True, slots=True)
class Turn:
    """One server's turn in a round: its load by format."""

    server: str
    start_seconds: float
    one: Load | None
    many: dict[str, Load]


@dataclass(frozen=True, slots=True)
class Size:
    """Where, how many rows a request, on how many connections, how long."""

    port: int
    rows: int
    connections: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which figures, and how long each is measured."""

    one: bool
    many: bool
    seconds: float
    rounds: int


def measure(material: Material, servers: Sequence[Server], wanted: Wanted, logs: Path) -> dict[str, Any]:
    """The figures of both parts, and which server was left out and why."""
    turns: list[Turn] = []
    ceilings: list[dict[int, float]] = []
    left_out = {server.name: NOT_INSTALLED for server in servers if not server.installed}
    for number in range(wanted.rounds):
        print(f"round {number + 1} of {wanted.rounds}:", end="", flush=True)
        for server in servers:
            if server.name in left_out:
                continue
            print(f" {server.name};", end="", flush=True)
            try:
                turns.append(_turn(material, server, wanted, left_out, logs / f"{server.name}.log"))
            except (NotReady, WrongAnswer) as error:
                left_out[server.name] = str(error)
        print(" onnxruntime in process", flush=True)
        ceilings.append({size: _in_process(material, size, wanted.seconds) for size in (1, MANY)})
    return _figures(servers, turns, ceilings, left_out, wanted)


def _turn(material: Material, server: Server, wanted: Wanted, left_out: dict[str, str], log: Path) -> Turn:
    """What does not answer rightly is left out from then on, with the reason."""
    port, one, many = free_port(), {}, {}
    with running(server.start(port), port, log) as up:
        if server.peer == "gavel":
            check_guarded(port)
        if wanted.one:
            one = _loads(material, server, [server.one], Size(port, 1, ONE_CONNECTIONS, wanted.seconds), left_out)
        if wanted.many:
            many = _loads(material, server, server.many, Size(port, MANY, MANY_CONNECTIONS, wanted.seconds), left_out)
    return Turn(server.name, up.seconds, one.get(server.one.name), many)


def _loads(
    material: Material, server: Server, forms: Sequence[Format], size: Size, left_out: dict[str, str]
) -> dict[str, Load]:
    found = {}
    for form in forms:
        label = f"{server.name}: {form.name}{_of(size.rows)}"
        if label in left_out:
            continue
        try:
            found[form.name] = _load(material, form, size)
        except (WrongAnswer, OSError, HTTPException, subprocess.CalledProcessError) as error:
            left_out[label] = f"{type(error).__name__}: {error}"[-500:]
    return found


def _of(rows: int) -> str:
    return f", rows a request: {rows}"


def _without(left_out: dict[str, str], rows: int) -> dict[str, str]:
    """What was left out, but not where requests have ``rows`` rows."""
    return {label: why for label, why in left_out.items() if not label.endswith(_of(rows))}


def _load(material: Material, form: Format, size: Size) -> Load:
    check(material, form, size.port, size.rows)
    calls = [form.call(material.schema, rows) for rows in material.batches(size.rows)]
    run_wrk(size.port, calls, size.connections, WARM_SECONDS)
    return run_wrk(size.port, calls, size.connections, size.seconds)


def _in_process(material: Material, size: int, seconds: float) -> float:
    module = "benchmarks.serving.peers.in_process"
    pinned = ["taskset", "-c", str(process.CORE), ours.PYTHON, "-m", module]
    command = [*pinned, str(material.folder), str(size), str(seconds)]
    done = subprocess.run(command, cwd=ours.REPOSITORY, check=True, capture_output=True, text=True)
    return float(done.stdout)


def _figures(
    servers: Sequence[Server],
    turns: Sequence[Turn],
    ceilings: Sequence[dict[int, float]],
    left_out: dict[str, str],
    wanted: Wanted,
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    if wanted.one:
        figures["one_row"] = _one_row(servers, turns, [ceiling[1] for ceiling in ceilings], _without(left_out, MANY))
    if wanted.many:
        figures["many_rows"] = _many_rows(
            servers, turns, [ceiling[MANY] for ceiling in ceilings], _without(left_out, 1)
        )
    return figures


def _one_row(
    servers: Sequence[Server], turns: Sequence[Turn], ceiling: Sequence[float], left_out: dict[str, str]
) -> dict[str, Any]:
    found = {}
    for server in servers:
        loads = [turn.one for turn in turns if turn.server == server.name and turn.one]
        if not loads:
            continue
        starts = [turn.start_seconds for turn in turns if turn.server == server.name]
        found[server.name] = {"about": server.about, **_seen(loads), "start_seconds": spread(starts)}
    rates = {name: figure["requests_per_s"]["median"] for name, figure in found.items()}
    return {
        "connections": ONE_CONNECTIONS,
        "servers": found,
        "onnxruntime_in_process_runs_per_s": spread(ceiling),
        "gavel_is_times": {name: round(rates.get("Gavel", 0) / rate, 2) for name, rate in rates.items()},
        "left_out": left_out,
    }


def _seen(loads: Sequence[Load]) -> dict[str, Any]:
    return {
        "requests_per_s": spread([load.rate for load in loads]),
        "p50_ms": spread([load.p50_ms for load in loads]),
        "p99_ms": spread([load.p99_ms for load in loads]),
        "not_2xx": sum(load.not_2xx for load in loads),
        "broken": sum(load.broken for load in loads),
    }


def _many_rows(
    servers: Sequence[Server], turns: Sequence[Turn], ceiling: Sequence[float], left_out: dict[str, str]
) -> dict[str, Any]:
    in_process = spread(ceiling)
    found = {}
    for server in servers:
        for form in server.many:
            loads = [turn.many[form.name] for turn in turns if turn.server == server.name and form.name in turn.many]
            if not loads:
                continue
            seen = _seen(loads)
            rows = spread([load.rate * MANY for load in loads])
            share = round(rows["median"] / in_process["median"], 3)
            found[f"{server.name}: {form.name}"] = {"rows_per_s": rows, "share_of_in_process": share, **seen}
    return {
        "rows_a_request": MANY,
        "connections": MANY_CONNECTIONS,
        "servers": found,
        "onnxruntime_in_process_rows_per_s": in_process,
        "left_out": left_out,
    }
