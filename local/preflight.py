"""Is this machine ready? Run before anything is installed, so by the standard library alone.

Not here: making the environments (``Makefile``) or starting anything (``run.py``).
"""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from local.arguments import Options, parse
from local.errors import CannotRun
from local.layout import HOST, REPOSITORY, SERVICES, Ports

FIRST_RUN_BYTES, LATER_RUN_BYTES = 3_000_000_000, 300_000_000


def check_disk(folder: Path, needed: int) -> None:
    """Raises ``CannotRun`` when the file system of ``folder`` has less than ``needed`` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CannotRun(
            f"{folder} has {free / 1e9:.1f} GB free and this run needs {needed / 1e9:.1f} GB; free some space"
        )


def check_ports(ports: Ports) -> None:
    """Raises ``CannotRun`` that names the first port somebody else listens on and the setting that changes it."""
    numbers = ports.to_dict()
    for name in SERVICES:
        if list(numbers.values()).count(numbers[name]) > 1:
            raise CannotRun(f"port {numbers[name]} is given to two services; change PORT_{name.upper()}=...")
        if not is_free(numbers[name]):
            raise CannotRun(
                f"port {numbers[name]} is taken by another program; choose another one for {name} "
                f"with: make run PORT_{name.upper()}={_free_port(numbers)}"
            )


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now, on this address or on all of them."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: a closed one frees it at once
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_port(taken: Mapping[str, int]) -> int:
    """A port to propose."""
    return next(port for port in range(18_000, 19_000) if port not in taken.values() and is_free(port))


def check_machine(options: Options, *, installed: bool) -> None:
    """All checks; the ports only when the stack is not running already. Raises ``CannotRun``."""
    check_disk(REPOSITORY, LATER_RUN_BYTES if installed else FIRST_RUN_BYTES)
    if not options.state.running_file.exists():
        check_ports(options.ports)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    try:
        installed = (REPOSITORY / ".venv-serving" / "bin" / "python").exists()
        check_machine(options, installed=installed)
    except CannotRun as error:
        sys.stderr.write(f"Cannot run: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
