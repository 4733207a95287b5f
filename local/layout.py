"""Where everything of the local stack lies and listens: one folder, three ports. Not here: what runs."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
LONGEST_SOCKET_PATH = 100  # the kernel takes 107 bytes (103 on macOS) and supervisord adds a suffix while it binds


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of the three services; each has an argument and a variable of ``make run`` that changes it."""

    airflow: int = 8080
    mlflow: int = 5000
    serving: int = 8000

    def to_dict(self) -> dict[str, int]:
        return asdict(self)

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.to_dict()[name]}"


SERVICES = tuple(field.name for field in fields(Ports))


@dataclass(frozen=True, slots=True)
class State:
    """The folder with all state of the local stack: ``.gavel`` in the repository unless said otherwise."""

    root: Path

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def mlflow(self) -> Path:
        return self.root / "mlflow"

    @property
    def airflow(self) -> Path:
        return self.root / "airflow"

    @property
    def serving(self) -> Path:
        """Where serving keeps the last release that was good."""
        return self.root / "serving"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def keys_file(self) -> Path:
        return self.root / "keys.json"

    @property
    def signing_key_file(self) -> Path:
        """What the pipeline signs releases with."""
        return self.root / "signing-key.pem"

    @property
    def passwords_file(self) -> Path:
        return self.airflow / "passwords.json"

    @property
    def migrated_file(self) -> Path:
        """Names the release of Airflow whose tables the metadata database has."""
        return self.airflow / "migrated"

    @property
    def running_file(self) -> Path:
        """What was started last and how to find it again: ``running.Running``."""
        return self.root / "running.json"

    @property
    def source_file(self) -> Path:
        """Where the last run took its rows from; the next one carries on with it."""
        return self.root / "source.txt"

    @property
    def lock_file(self) -> Path:
        return self.root / "run.lock"

    @property
    def supervisor_config(self) -> Path:
        return self.root / "supervisord.conf"

    @property
    def socket(self) -> Path:
        """The supervisor's socket: in the folder, or in a private one of the system when that path is too long."""
        here = self.root / "supervisor.sock"
        if len(os.fsencode(here)) <= LONGEST_SOCKET_PATH:
            return here
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"gavel-{os.getuid()}-{name}" / "supervisor.sock"

    def make(self) -> None:
        """Make the folders, readable by nobody else."""
        folders = (self.root, self.store, self.mlflow, self.airflow, self.logs, self.socket.parent)
        for folder in folders:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)


@dataclass(frozen=True, slots=True)
class Stack:
    """One local stack: where its state lies, where it listens, where rows come from, which model it serves."""

    state: State
    ports: Ports
    source: str
    model: str


def default_state() -> State:
    return State(REPOSITORY / ".gavel")
