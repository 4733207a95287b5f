"""The stack of docker-compose.yaml as the tests hold it: under a name and on ports of its own, gone at the end.

Not here: requests under way while something happens to it (``load.py``), its runs and versions (``days.py``).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
INSIDE = Path(__file__).with_name("inside")
NAME = "gavel-test"
PIPELINE, SERVING = f"{NAME}-pipeline", f"{NAME}-serving"
OURS = ("GAVEL_", "SERVING_", "COMPOSE_", "MAKE", "MFLAGS")
HEALTHY_SECONDS = 300
Found = TypeVar("Found")


def run(*command: str, check: bool = True, timeout: float = 600, stdin: str = "", **more: Any) -> str:
    """A program's standard output; with ``check`` its failure is told with all that it said."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, input=stdin, cwd=ROOT, **more)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)[:300]}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def wait_for(look: Callable[[], Found | None], seconds: float, what: Callable[[], object] | str) -> Found:
    """What ``look`` finds, as soon as it finds something."""
    deadline = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what if isinstance(what, str) else what()}"
        time.sleep(0.25)


@dataclass(frozen=True)
class Container:
    """A container as the engine describes it."""

    document: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.document["Name"].lstrip("/")

    @property
    def service(self) -> str:
        return self.document["Config"]["Labels"]["com.docker.compose.service"]

    @property
    def host(self) -> Mapping[str, Any]:
        return self.document["HostConfig"]

    @property
    def stays(self) -> bool:
        """Is it meant to run on, not to do one thing and end?"""
        return self.host["RestartPolicy"]["Name"] != "no"

    @property
    def is_well(self) -> bool:
        state = self.document["State"]
        if not self.stays:
            return state["Status"] == "exited" and state["ExitCode"] == 0
        return state["Status"] == "running" and state.get("Health", {}).get("Status", "healthy") == "healthy"

    @property
    def addresses(self) -> dict[str, str]:
        """Its address in each network."""
        networks = self.document["NetworkSettings"]["Networks"]
        return {name.removeprefix(f"{NAME}_"): found["IPAddress"] for name, found in networks.items()}


@dataclass(frozen=True)
class Stack:
    """One project of Docker Compose; ``environment`` is all that it is told."""

    environment: Mapping[str, str] = field(repr=False)

    def told(self, **settings: str) -> Stack:
        """The same stack with other settings."""
        return replace(self, environment={**self.environment, **settings})

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.environment[f'GAVEL_PORT_{service.upper()}']}"

    def compose(self, *arguments: str, **more: Any) -> str:
        return run("docker", "compose", "--env-file", os.devnull, *arguments, env=dict(self.environment), **more)

    def containers(self, service: str | None = None) -> list[Container]:
        """Those of the project, without what `run` started."""
        label = "label=com.docker.compose"
        wanted = [f"{label}.project={NAME}", f"{label}.oneoff=False"]
        wanted += [f"{label}.service={service}"] if service else []
        found = run("docker", "ps", "-aq", *(word for each in wanted for word in ("--filter", each))).split()
        described = json.loads(run("docker", "inspect", *found, check=False) or "[]") if found else []
        return sorted(map(Container, described), key=lambda each: each.name)

    def up(self, *arguments: str) -> None:
        self.compose("up", "-d", *arguments, timeout=900)
        self.wait_until_well()

    def wait_until_well(self, seconds: float = HEALTHY_SECONDS) -> None:
        """What is done once and has failed will not get well."""

        def unwell() -> list[str]:
            found = [each for each in self.containers() if not each.is_well]
            failed = [each.name for each in found if not each.stays and each.document["State"]["Status"] == "exited"]
            assert not failed, failed
            return [f"{each.name}: {each.document['State']['Status']}" for each in found]

        wait_for(lambda: not unwell(), seconds, lambda: unwell())

    def inside(self, script: str, *arguments: str, service: str = "airflow-scheduler") -> Any:
        """What a script of the folder ``inside`` answers in a running container, with that container's secrets."""
        source = (INSIDE / script).read_text()
        said = self.compose("exec", "-T", service, "with-secrets", "python", "-", *arguments, stdin=source)
        return json.loads(said)

    def beside(self, network: str, script: str, *arguments: str, image: str = PIPELINE, secrets: str = "") -> Any:
        """What a script answers in a throw-away container in one network, with one volume of secrets if it is named."""
        mounts = ["-v", f"{NAME}_{secrets}:/run/secrets:ro", "--user", "0:0"] if secrets else []
        entry = ["--entrypoint", "python", image, "-", *arguments]
        command = ["docker", "run", "--rm", "-i", "--network", f"{NAME}_{network}", *mounts, *entry]
        return json.loads(run(*command, stdin=(INSIDE / script).read_text()))

    def secrets(self) -> dict[str, str]:
        """All that nobody may see."""
        read = ["--network", "none", "--user", "0:0", "-v", f"{NAME}_secrets:/s:ro", "--entrypoint", "cat", PIPELINE]
        return json.loads(run("docker", "run", "--rm", *read, "/s/secrets.json"))

    def kill(self, container: Container) -> None:
        """``kill -9`` from outside: to Docker it has died by itself, so that its restart policy counts."""
        pid = str(container.document["State"]["Pid"])
        code = "import os, sys; os.kill(int(sys.argv[1]), 9)"
        run(
            "docker",
            "run",
            "--rm",
            "--pid",
            "host",
            "--user",
            "0:0",
            "--entrypoint",
            "python",
            PIPELINE,
            "-c",
            code,
            pid,
        )

    def tell(self) -> None:
        """Say what a person would look at first."""
        sys.stdout.write(self.compose("ps", "-a", check=False))
        for container in self.containers():
            if not container.is_well:
                last = subprocess.run(
                    ["docker", "logs", "--tail", "25", container.name],
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                )  # fmt: skip
                sys.stdout.write(f"\n--- {container.name}\n{last.stdout}")

    def remove(self) -> None:
        everything = self.told(COMPOSE_PROFILES="celery,monitoring,tools")
        everything.compose("down", "--volumes", "--remove-orphans", "--timeout", "5", check=False)


def free_ports(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    return ports


def new_stack(images: Mapping[str, str]) -> Stack:
    """A stack with nothing set but what keeps it apart from others, and from runs that nobody asked for."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    names = ("AIRFLOW", "MLFLOW", "SERVING", "PROMETHEUS", "GRAFANA")
    ports = {f"GAVEL_PORT_{name}": port for name, port in zip(names, free_ports(len(names)), strict=True)}
    own = {"COMPOSE_PROJECT_NAME": NAME, "GAVEL_PIPELINE_IMAGE": PIPELINE, "GAVEL_SERVING_IMAGE": SERVING}
    return Stack({**outer, **images, **own, **ports, "GAVEL_PAUSED": "True", "GAVEL_WINDOW_DAYS": "3"})


def lines(text: str) -> Iterator[str]:
    return filter(None, map(str.strip, text.splitlines()))
