"""``python -m local.releases``: the command ``python -m pipeline.releases`` for the stack of ``make run``.

Not here: what it can do (``pipeline/releases``).
"""

from __future__ import annotations

import os
import sys

from local import keys
from local.environment import MARKER, environment
from local.layout import Stack, State, default_state
from local.running import Running
from pipeline import datasets
from pipeline.errors import SettingsInvalid
from pipeline.releases import __main__ as command
from pipeline.settings import read_settings


def main(arguments: list[str], state: State) -> int:
    """The exit code of the command."""
    try:
        known = use(state)
    except SettingsInvalid as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if not known:
        sys.stderr.write("there is no stack here yet: `make run` starts one\n")
        return 1
    return command.main(arguments)


def use(state: State) -> bool:
    """Give this process the settings and secrets that the services were started with, if they ever were.

    Raises:
        SettingsInvalid: a ``GAVEL_`` variable of the shell cannot be used.
    """
    running = Running.read(state)
    if running is None:
        return False
    stack = Stack(state, running.ports, running.source, datasets.load(read_settings().dataset).model_name)
    theirs = environment(os.environ, stack, keys.read_or_make(state))
    os.environ.update({name: value for name, value in theirs.items() if name != MARKER})
    return True


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], default_state()))
