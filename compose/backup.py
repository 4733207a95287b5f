"""``python -m compose.backup``: all volumes below ``/state`` into one archive, and back.

Not here: the archive (``archive.py``), stopping and starting the stack and mounting the volumes (``deploy/state``).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tarfile
from contextlib import closing
from pathlib import Path

from compose.archive import check, open_member, read_manifest, write

# In the folder of secrets while a restore is under way: make_secrets.py starts no stack on half of its state.
UNFINISHED = "restore-unfinished"


def restore(archive: Path, state: Path) -> None:
    """Replace all of ``state`` by what a checked archive holds; broken off, it has to be done again."""
    mark = state / "secrets" / UNFINISHED
    mark.touch()
    os.sync()
    for volume in state.iterdir():
        _empty(volume, but=mark)
    with tarfile.open(archive, "r:") as tar:
        for part in read_manifest(tar).parts:
            with closing(open_member(tar, part.name)) as file, tarfile.open(fileobj=file, mode="r|gz") as inner:
                inner.extractall(state / part.volume, numeric_owner=True, filter=_as_it_was)  # noqa: S202 - the filter checks
    os.sync()
    mark.unlink()


def _empty(folder: Path, but: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path != but:
            path.unlink()


def _as_it_was(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """Nothing outside of the volume; owner and mode as they were."""
    return tarfile.tar_filter(member, folder).replace(mode=member.mode, deep=False)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m compose.backup", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    for action in ("write", "check", "restore"):
        command = actions.add_parser(action)
        command.add_argument("archive", type=Path)
        command.add_argument("--state", type=Path, default=Path("/state"))
        command.add_argument("--release", default="unknown", help="what is written into the manifest")
        command.add_argument("--images", default="", help="the same: names with spaces between them")
        command.add_argument("--postgres", default="", help="what `postgres --version` says here")
    return parser.parse_args()


def main() -> None:
    told = _arguments()
    if told.action == "write":
        write(told.archive, told.state, told.release, told.images.split())
    elif told.action == "restore":
        restore(told.archive, told.state)
    else:
        version = re.search(r"\d+", told.postgres)
        manifest = check(told.archive, version[0] if version else "unknown")
        print(f"{told.archive.name}: made {manifest.made} by release {manifest.release}", file=sys.stderr)
        print("\n".join(part.volume for part in manifest.parts))


if __name__ == "__main__":
    main()
