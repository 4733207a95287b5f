"""The supervisor: its configuration, starting it, asking it. Not here: which programs (``services.py``)."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from local.errors import CannotRun
from local.keys import write_private
from local.layout import REPOSITORY, State
from local.services import Service

START_SECONDS = 20
GROUP = "stack"
DEAD = ("BACKOFF", "EXITED", "FATAL", "UNKNOWN")


def configuration(state: State, programs: Sequence[Service]) -> str:
    """The text of ``supervisord.conf``. Programs are started by name, so that some can wait for others."""
    socket, logs = _escaped(state.socket), _escaped(state.logs)
    sections: dict[str, dict[str, str]] = {
        "unix_http_server": {"file": socket, "chmod": "0700"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
        "supervisord": {
            "nodaemon": "true",
            "logfile": f"{logs}/supervisord.log",
            "pidfile": f"{_escaped(state.root)}/supervisord.pid",
            "childlogdir": logs,
            "directory": _escaped(REPOSITORY),
        },
        # One group, so that all are told to end at the same time.
        f"group:{GROUP}": {"programs": ",".join(program.name for program in programs)},
    } | {f"program:{program.name}": _program(program, logs) for program in programs}
    return "\n".join(_section(name, values) for name, values in sections.items())


def _program(program: Service, logs: str) -> dict[str, str]:
    return {
        "command": _escaped(shlex.join(program.command)),
        "autostart": "false",
        "autorestart": "true",
        "startsecs": "5",
        "startretries": "2",
        "stopasgroup": "true",
        "killasgroup": "true",
        "stopwaitsecs": str(program.stop_seconds),
        "redirect_stderr": "true",
        "stdout_logfile": _escaped(f"{logs}/{program.name}.log"),  # supervisord expands this one twice
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "1",
    }


def _section(name: str, values: Mapping[str, str]) -> str:
    return "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in values.items()), ""])


def _escaped(value: object) -> str:
    """Text as supervisord's expansion takes it."""
    return str(value).replace("%", "%%")


@dataclass(frozen=True, slots=True)
class Program:
    """What the supervisor says of a program. ``pid`` is 0 when it does not run."""

    name: str
    state: str
    pid: int

    @property
    def dead(self) -> bool:
        return self.state in DEAD


class Supervisor:
    """The supervisor of a state folder, running or not."""

    def __init__(self, state: State) -> None:
        self.state = state

    def start(self, programs: Sequence[Service], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start supervisord in a session of its own. Raises ``CannotRun`` when it does not answer."""
        write_private(self.state.supervisor_config, configuration(self.state, programs))
        self.state.socket.unlink(missing_ok=True)
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.state.supervisor_config)]
        with (self.state.logs / "supervisord.out").open("ab") as out:
            process = subprocess.Popen(
                command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise CannotRun(f"the supervisor did not start; see {self.state.logs}/supervisord.out")
            time.sleep(0.05)
        return process

    def answers(self) -> bool:
        try:
            return bool(self._call("getState")["statename"])
        except (OSError, HTTPException, Fault):
            return False

    def start_program(self, name: str) -> None:
        self._call("startProcess", f"{GROUP}:{name}", False)

    def programs(self) -> dict[str, Program]:
        found = (Program(p["name"], p["statename"], p["pid"]) for p in self._call("getAllProcessInfo"))
        return {program.name: program for program in found}

    def shut_down(self) -> None:
        """Ask it to end all programs and itself; does not wait."""
        try:
            self._call("shutdown")
        except (OSError, HTTPException, Fault):
            return

    def _call(self, method: str, *arguments: object) -> Any:
        transport = SupervisorTransport(serverurl=f"unix://{self.state.socket}")
        try:
            proxy = ServerProxy("http://127.0.0.1", transport=transport)
            return getattr(proxy.supervisor, method)(*arguments)
        finally:
            transport.close()
