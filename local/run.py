"""``make run``: start the stack if it does not run, let the newest day through the DAG, say where to look.

On a terminal it then stays until Ctrl-C, which stops everything; elsewhere it leaves the services to the supervisor.
"""

from __future__ import annotations

import fcntl
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from types import FrameType
from typing import NoReturn

import requests
from rich.console import Console

from local import keys as secrets
from local.airflow_client import Airflow
from local.arguments import Options, parse
from local.daily_run import newest_day, run_day
from local.errors import CannotRun
from local.layout import SERVICES, Stack, State
from local.preflight import check_ports
from local.running import Running, end_all
from local.start import start, take_up
from local.summary import Places, print_summary
from local.supervisor import Supervisor
from pipeline import datasets
from pipeline.errors import GavelError
from pipeline.settings import Settings, read_settings

INTERRUPTED = 130
KEEP_RUNNING = "The services keep running; `make stop` ends them."


def main(arguments: list[str]) -> int:
    console = Console(soft_wrap=False)
    options = parse(arguments)
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)
    try:
        settings = read_settings()
        running = _running(options.state)
        if running is not None:
            return _again(running, options, settings, console)
        return _first(options, settings, console)
    except (CannotRun, GavelError) as error:
        console.print(f"[red]Cannot run:[/] {error}", highlight=False, soft_wrap=True)
        return 1


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001  (the form of a signal handler)
    raise KeyboardInterrupt


def _running(state: State) -> Running | None:
    """The stack as it was started, if its supervisor answers."""
    running = Running.read(state)
    return running if running is not None and Supervisor(state).answers() else None


def _again(running: Running, options: Options, settings: Settings, console: Console) -> int:
    """The stack runs already: only the newest day is asked for, and Ctrl-C ends only the watching."""
    if options.source not in (None, running.source):
        raise CannotRun(f"the stack runs with the source {running.source}; `make stop` first to change it")
    console.print("Gavel is running already; asking for the next day.", highlight=False)
    stack = Stack(options.state, running.ports, running.source, datasets.load(settings.dataset).model_name)
    try:
        day = options.day or newest_day(stack.source, settings.dataset, settings.seed)
        code = _daily(stack, day, take_up(stack, console), console)
    except KeyboardInterrupt:
        code = INTERRUPTED
    console.print(f"\n{KEEP_RUNNING}", highlight=False)
    return code


def _first(options: Options, settings: Settings, console: Console) -> int:
    source = options.source or _last_source(options.state) or settings.source
    stack = Stack(options.state, options.ports, source, datasets.load(settings.dataset).model_name)
    with _only_one(options.state):
        try:
            end_all(options.state)  # what a killed supervisor left behind
            check_ports(options.ports)
            day = options.day or newest_day(source, settings.dataset, settings.seed)
            options.state.source_file.write_text(source)
            code = _daily(stack, day, start(stack, console), console)
            if sys.stdin.isatty() and sys.stdout.isatty():
                console.print("\n[bold]Ctrl-C stops everything.[/]")
                _stay(options.state)
                return code
        except KeyboardInterrupt:
            console.print("\nStopping ...", highlight=False)
            _end_undisturbed(options.state)
            console.print("Stopped.", highlight=False)
            return INTERRUPTED
        except Exception:
            _end_undisturbed(options.state)
            raise
    console.print(f"\n{KEEP_RUNNING}", highlight=False)
    return code


def _last_source(state: State) -> str | None:
    return state.source_file.read_text() if state.source_file.exists() else None


def _daily(stack: Stack, day: date, airflow: Airflow, console: Console) -> int:
    """Let the day through the DAG and print what came of it; the exit code."""
    outcome = run_day(airflow, day, console)
    console.print()
    if not outcome.ok:
        console.print(f"[red]The task {outcome.failed} failed.[/] The last lines of its log:", highlight=False)
        console.print("\n".join(f"  {line}" for line in outcome.log), highlight=False, markup=False, soft_wrap=True)
        console.print()
    print_summary(places(stack), f"file:{stack.state.store}", console)
    return 0 if outcome.ok else 1


def places(stack: Stack) -> Places:
    """Where people reach the services of this stack, and how to log in."""
    urls = {name: stack.ports.url(name) for name in SERVICES}
    password = secrets.read_or_make(stack.state).password
    return Places(**urls, user=secrets.USER, password=password, model=stack.model)


def _stay(state: State) -> None:
    """Until Ctrl-C, or until somebody else stops the stack."""
    supervisor = Supervisor(state)
    while supervisor.answers():
        time.sleep(1)


def _end_undisturbed(state: State) -> None:
    """A second Ctrl-C must not leave half of it behind."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    end_all(state)


@contextmanager
def _only_one(state: State) -> Iterator[None]:
    """Held while the stack is started and watched. Raises ``CannotRun`` when another ``make run`` holds it."""
    state.make()
    with state.lock_file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRun("another `make run` is starting the stack in this folder; wait for it") from None
        yield


if __name__ == "__main__":
    try:
        raise SystemExit(main(sys.argv[1:]))
    except requests.RequestException as error:
        raise SystemExit(f"Cannot run: a service stopped answering: {error}") from None
