"""serving/last_good.py"""

import threading
import zipfile

import pytest

from serving.last_good import LastGood
from tests.serving import tiny
from tests.serving.process import serving, wait_for


@pytest.fixture
def last_good(tmp_path):
    return LastGood(tmp_path / "state", tiny.MODEL)


def keep(last_good, version):
    made = tiny.bundle(version)
    last_good.keep(tiny.release_of(version, made), made.files)
    return made


def test_what_was_kept_is_read_again(last_good):
    """The entry of the channel and all three files."""
    made = keep(last_good, 1)
    assert last_good.read() == (tiny.release_of(1, made), made.files)


def test_nothing_kept_is_nothing_without_complaint(last_good, caplog):
    """As at the first start of all."""
    assert last_good.read() is None
    assert not caplog.records


def test_only_the_newest_is_kept(last_good):
    """One release on the disk, whatever happened."""
    keep(last_good, 1)
    keep(last_good, 2)
    assert last_good.read()[0].version == 2
    assert sorted(path.name for path in last_good.path.parent.iterdir()) == ["car_price.lock", "car_price.zip"]


def test_what_is_kept_already_is_not_written_again(last_good):
    """Several workers go live with the same release; one of them writes it."""
    keep(last_good, 1)
    before = last_good.path.stat()
    keep(last_good, 1)
    assert last_good.path.stat().st_ino == before.st_ino


def test_a_write_that_was_interrupted_leaves_the_old_release(last_good):
    """What lies beside it half written is not looked at, and is gone after the next write."""
    keep(last_good, 1)
    aside = last_good.path.with_suffix(".aside")
    aside.write_bytes(b"half")
    assert last_good.read()[0].version == 1
    keep(last_good, 2)
    assert not aside.exists()


@pytest.mark.parametrize("damage", [b"", b"no zip file", b"PK\x05\x06" + bytes(18)])
def test_a_damaged_file_is_ignored_with_a_line_and_replaced(last_good, caplog, damage):
    """It neither stops a start nor stays."""
    keep(last_good, 1)
    last_good.path.write_bytes(damage)
    assert last_good.read() is None
    assert "the last good release is ignored" in caplog.text
    keep(last_good, 1)
    assert last_good.read()[0].version == 1


def test_every_damaged_byte_is_noticed_or_is_found_by_the_digest(last_good):
    """Reading never raises; what is read otherwise has another digest."""
    made = keep(last_good, 1)
    whole = last_good.path.read_bytes()
    for at in range(0, len(whole), 7):
        last_good.path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        found = last_good.read()
        assert found is None or found[1] == made.files or found[0] != tiny.release_of(1, made)


def test_a_folder_that_cannot_be_written_costs_a_line(tmp_path, caplog):
    """A path below a file stands for every failing disk."""
    (tmp_path / "file").write_text("")
    last_good = LastGood(tmp_path / "file", tiny.MODEL)
    keep(last_good, 1)
    assert "cannot be kept" in caplog.text
    assert last_good.read() is None


def test_a_failed_write_leaves_no_rest_and_the_old_release(last_good, monkeypatch):
    """Half a file would keep a full disk full."""
    keep(last_good, 1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    keep(last_good, 2)
    assert sorted(path.suffix for path in last_good.path.parent.iterdir()) == [".lock", ".zip"]
    assert last_good.read()[0].version == 1


def test_workers_that_write_at_once_leave_one_whole_release(last_good):
    """They wait for each other."""
    threads = [threading.Thread(target=keep, args=(last_good, 1 + i % 3)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    release, files = last_good.read()
    assert files == tiny.bundle(release.version).files


def test_a_server_that_starts_while_the_store_is_away_answers(root, tmp_path):
    """It was killed, the store is gone: prices go on, and the status says what is the matter."""
    tiny.go(root, 1)
    with serving(root, state=tmp_path / "state") as served:
        wait_for(lambda: served.ask("GET", "/readyz").status == 200)
        wait_for((tmp_path / "state" / "last-good" / "car_price.zip").exists)
    root.rename(root.with_name("away"))
    with serving(root, state=tmp_path / "state") as served:
        wait_for(lambda: served.ask("GET", "/readyz").status == 200)
        answer = served.ask("POST", "/v1/predict", {"rows": [tiny.ROW]})
        assert answer.headers["x-model-version"] == "1"
        assert "does not exist" in served.ask("GET", "/v1/model").document["store_error"]
        root.with_name("away").rename(root)
        tiny.go(root, 2)
        wait_for(lambda: served.ask("GET", "/v1/model").document["version"] == 2)
        assert served.ask("GET", "/v1/model").document["store_error"] is None
