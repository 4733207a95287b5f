"""The arguments of ``make run`` and ``make stop``. Standard library only: ``preflight.py`` reads them first."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from local.layout import SERVICES, Ports, State, default_state

HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. ``source`` is None when the last run's is to be used, ``day`` when the newest is."""

    ports: Ports
    source: str | None
    state: State
    day: date | None = None


def parse(arguments: list[str]) -> Options:
    """Ends the program with a usage line when an argument cannot be used."""
    parser = argparse.ArgumentParser(
        prog="make run", description="The whole stack on this machine.", allow_abbrev=False
    )
    default = Ports().to_dict()
    for name in SERVICES:
        variable = f"PORT_{name.upper()}"
        parser.add_argument(f"--port-{name}", type=_port, default=default[name], metavar="PORT", help=f"{variable}=")
    parser.add_argument("--source", type=_source, help="SOURCE=simulated:, folder:PATH, s3://... or https://...")
    parser.add_argument("--day", type=_day, help="DAY=2015-06-19, the data day (default: the newest with sales)")
    parser.add_argument("--state", type=Path, default=default_state().root, help="folder of all state")
    found = vars(parser.parse_args(arguments))
    ports = Ports(**{name: found[f"port_{name}"] for name in SERVICES})
    return Options(ports, found["source"], State(Path(found["state"]).resolve()), found["day"])


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (1 to {HIGHEST_PORT})")
    return int(text)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day; write it as 2015-06-19") from None


def _source(text: str) -> str:
    """A folder's path as seen from where the person stands, made absolute: services run elsewhere."""
    kind, separator, path = text.partition(":")
    return f"{kind}:{Path(path).expanduser().resolve()}" if separator and kind == "folder" else text
