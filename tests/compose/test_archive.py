"""compose/archive.py, compose/backup.py: what goes in comes out, and nothing else is taken for it."""

from __future__ import annotations

import contextlib
import io
import json
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compose import backup, make_secrets
from compose.archive import check, write

VOLUMES = ("postgres", "s3", "secrets")


def new_state(folder: Path, files: Mapping[str, bytes] | None = None) -> Path:
    """Three volumes; ``files`` lie in the one of S3."""
    state = folder / "state"
    for name in VOLUMES:
        (state / name).mkdir(parents=True)
    (state / "postgres" / "pgdata").mkdir(mode=0o700)
    (state / "postgres" / "pgdata" / "PG_VERSION").write_text("17\n")
    (state / "secrets" / "secrets.json").write_text('{"jwt": "x"}')
    for name, content in (files or {}).items():
        (state / "s3" / name).write_bytes(content)
    return state


def seen(state: Path) -> dict[str, tuple[int, int, int, bytes | str]]:
    """Every path with its mode, owner and content."""
    return {str(path.relative_to(state)): (*_who(path), _content(path)) for path in sorted(state.rglob("*"))}


def _who(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_mode, found.st_uid, found.st_gid


def _content(path: Path) -> bytes | str:
    if path.is_symlink():
        return str(path.readlink())
    return b"" if path.is_dir() else path.read_bytes()


def written(folder: Path, state: Path) -> Path:
    archive = folder / "a.tar"
    archive.unlink(missing_ok=True)
    write(archive, state, "1.2.3", ["image-a", "image-b"])
    return archive


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.from_regex(r"[a-zé][a-z .]{0,120}", fullmatch=True), st.binary(max_size=3000), max_size=6))
def test_what_goes_in_comes_out(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    """Any files: the same names, modes, owners and bytes, whatever lay there before."""
    folder = tmp_path_factory.mktemp("state")
    state = new_state(folder, files)
    before = seen(state)
    archive = written(folder, state)
    (state / "s3" / "newer").write_text("is gone afterwards")
    (state / "postgres" / "pgdata" / "PG_VERSION").write_text("16")
    backup.restore(archive, state)
    assert seen(state) == before


def test_odd_modes_links_and_empty_folders_are_kept(tmp_path: Path) -> None:
    """Group-writable, sticky, without any right, a link, a second name of a file, an empty folder."""
    state = new_state(tmp_path, {"group": b"1", "closed": b"2"})
    (state / "s3" / "group").chmod(0o664)
    (state / "s3" / "empty").mkdir(mode=0o700)
    (state / "s3" / "empty").chmod(0o1777)
    (state / "s3" / "link").symlink_to("group")
    (state / "s3" / "again").hardlink_to(state / "s3" / "group")
    before = seen(state)
    backup.restore(written(tmp_path, state), state)
    assert seen(state) == before
    assert (state / "s3" / "again").samefile(state / "s3" / "group")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_byte_is_refused_or_does_no_harm(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any byte of the file: either the archive is refused, or (padding, the manifest's remarks) the state is the same."""
    folder = tmp_path_factory.mktemp("state")
    state = new_state(folder, {"object": bytes(range(256)) * 4})
    before, archive = seen(state), written(folder, state)
    content = bytearray(archive.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    archive.write_bytes(content)
    with contextlib.suppress(SystemExit):
        check(archive, "17")
        backup.restore(archive, state)
    assert seen(state) == before


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 0.999))
def test_a_shorter_file_is_refused(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    """A copy that broke off, anywhere before the manifest's end."""
    folder = tmp_path_factory.mktemp("state")
    archive = written(folder, new_state(folder))
    content = archive.read_bytes().rstrip(b"\0")
    archive.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(SystemExit, match=r"a\.tar"):
        check(archive, "17")


def foreign(folder: Path, files: Mapping[str, bytes]) -> Path:
    archive = folder / "foreign.tar"
    with tarfile.open(archive, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive


def manifest(**changed: object) -> bytes:
    parts = [{"volume": name, "bytes": 0, "sha256": ""} for name in VOLUMES]
    told = {"format": "gavel-backup-1", "made": "", "release": "", "images": [], "postgres": "17", "parts": parts}
    return json.dumps({**told, **changed}).encode()


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"readme.txt": b"holiday pictures"},
        {"manifest.json": b"not JSON"},
        {"manifest.json": b"[]"},
        {"manifest.json": b"\xff\xfe"},
        {"manifest.json": manifest(format="gavel-backup-2")},
        {"manifest.json": manifest(parts=[])},
        {"manifest.json": manifest(parts=3)},
        {"manifest.json": manifest(more=1)},
        {"manifest.json": manifest()},
        {
            "manifest.json": manifest(
                parts=[{"volume": f"{name} --privileged", "bytes": 0, "sha256": ""} for name in VOLUMES]
            )
        },
    ],
)
def test_another_archive_is_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    """A tar file that is not ours, or is of a newer kind, ends the program with its name."""
    with pytest.raises(SystemExit, match="foreign"):
        check(foreign(tmp_path, files), "17")


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    """Text, or nothing at all, or no file."""
    for content in (b"", b"hello" * 1000):
        (tmp_path / "text.tar").write_bytes(content)
        with pytest.raises(SystemExit, match="text"):
            check(tmp_path / "text.tar", "17")
    with pytest.raises(SystemExit, match="gone"):
        check(tmp_path / "gone.tar", "17")


def test_another_major_version_of_postgresql_is_refused(tmp_path: Path) -> None:
    """Its files cannot be read by another one; the message says which image to take."""
    archive = written(tmp_path, new_state(tmp_path))
    assert check(archive, "17").release == "1.2.3"
    with pytest.raises(SystemExit, match="set POSTGRES_IMAGE to an image of PostgreSQL 17"):
        check(archive, "18")


def test_only_the_owner_may_read_it_and_nothing_is_written_over(tmp_path: Path) -> None:
    """The archive holds every secret; a file of that name stays."""
    state = new_state(tmp_path)
    archive = written(tmp_path, state)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        write(archive, state, "", [])


def test_a_restore_that_broke_off_starts_no_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the state is not served: the secrets say that the restore must be done again, and then it works."""
    state = new_state(tmp_path)
    archive, before = written(tmp_path, state), seen(state)

    def broken(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "extractall", broken)
        with pytest.raises(KeyboardInterrupt):
            backup.restore(archive, state)
    (tmp_path / "all").symlink_to(state / "secrets")
    with pytest.raises(SystemExit, match="make restore"):
        make_secrets.main(tmp_path, {})
    backup.restore(archive, state)
    assert seen(state) == before


def test_an_archive_cannot_write_outside_of_its_volume(tmp_path: Path) -> None:
    """A path that leads out is an error, whoever made the archive."""
    member = tarfile.TarInfo("../../etc/passwd")
    with pytest.raises(tarfile.OutsideDestinationError):
        backup._as_it_was(member, str(tmp_path))
