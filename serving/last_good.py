"""The last release that went live, kept on the disk of this replica for a start while the release store is away.

One zip file a model, replaced whole. Nothing in it is trusted: it is loaded by the way of every release. Not here: when
it is used (``reconciler.py``).
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.contract.bundle import MANIFEST, names
from pipeline.contract.channel import Release

log = logging.getLogger(__name__)

FOLDER, ENTRY = "last-good", "release.json"


@dataclass(frozen=True, slots=True)
class LastGood:
    """The last good release of ``model`` under the folder ``state``. A disk that fails costs a log line."""

    state: Path
    model: str

    @property
    def path(self) -> Path:
        return self.state / FOLDER / f"{self.model}.zip"

    def read(self) -> tuple[Release, Mapping[str, bytes]] | None:
        """The release with its files, not verified; ``None`` if none is kept or it cannot be read."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                kept = names(archive.read(MANIFEST))
                return _release(archive), {name: archive.read(name) for name in kept}
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001  zipfile raises a dozen kinds for what was damaged
            log.warning(f"the last good release is ignored: {self.path} cannot be read: {error!r}")
            return None

    def keep(self, release: Release, files: Mapping[str, bytes]) -> None:
        """Replace what is kept by this release, unless it is this one already."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # the workers of a replica share the folder
                if not self._keeps(release):
                    _write(self.path, release, files)
        except OSError as error:
            log.warning(f"the last good release cannot be kept in {self.path.parent}: {error.strerror or error}")

    def _keeps(self, release: Release) -> bool:
        try:
            with zipfile.ZipFile(self.path) as archive:
                return _release(archive) == release
        except Exception:  # noqa: BLE001  as above; then it is written anew
            return False


def _release(archive: zipfile.ZipFile) -> Release:
    return Release(**json.loads(archive.read(ENTRY)))


def _write(path: Path, release: Release, files: Mapping[str, bytes]) -> None:
    aside = path.with_suffix(".aside")
    try:
        with aside.open("wb") as file:
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr(ENTRY, json.dumps(asdict(release)))
                for name, data in files.items():
                    archive.writestr(name, data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)  # half a file would keep a full disk full
        raise
