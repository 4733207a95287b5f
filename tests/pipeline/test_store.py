"""The store: on a folder and on a real S3 server alike, writes are atomic and conditional."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import SettingsInvalid, StoreUnavailable
from pipeline.store import KeyChanged, KeyExists, KeyNotFound, Store, open_store
from pipeline.store import s3 as s3_store
from pipeline.store.s3 import S3Store
from tests.s3_server import BUCKET, S3Server, free_ports, running_s3

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_environment(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def opened(s3: S3Server) -> S3Store:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment.items():
            patch.setenv(name, value)
        return S3Store(BUCKET, "x")


@pytest.fixture
def bucket(opened: S3Store) -> S3Store:
    """A store of its own on the opened bucket: opening takes 0.3 s."""
    opened._root = f"{uuid4()}/"
    return opened


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        return request.getfixturevalue("bucket")
    return open_store(f"file:{tmp_path}/store")


# what every store does


def test_an_object_is_read_back_with_a_tag_that_stands_for_its_bytes(store: Store) -> None:
    """The tag changes when the bytes change."""
    store.create("a/b.json", b"one")
    first = store.read("a/b.json")
    store.replace("a/b.json", b"two", first.etag)
    assert first.data == b"one"
    assert store.read("a/b.json").data == b"two"
    assert store.read("a/b.json").etag != first.etag


def test_reading_what_is_not_there_says_so(store: Store) -> None:
    """A missing key, and a key that is only a folder, raise KeyNotFound."""
    store.create("a/b", b"")
    for key in ("x", "a", "a/b/c"):
        with pytest.raises(KeyNotFound):
            store.read(key)


def test_create_takes_the_same_bytes_again_and_refuses_others(store: Store) -> None:
    """Creating twice is a success only with the same content, and the first content stays."""
    store.create("k", b"one")
    store.create("k", b"one")
    with pytest.raises(KeyExists):
        store.create("k", b"two")
    assert store.read("k").data == b"one"


def test_replace_needs_the_tag_of_what_is_there(store: Store) -> None:
    """A wrong tag, a tag for a missing object, and None for one that is there raise KeyChanged."""
    store.replace("k", b"one", None)
    old = store.read("k").etag
    store.replace("k", b"two", old)
    for key, etag in (("k", old), ("k", None), ("missing", old)):
        with pytest.raises(KeyChanged):
            store.replace(key, b"three", etag)
    assert store.read("k").data == b"two"


def test_publish_takes_the_same_folder_again_and_refuses_another(store: Store) -> None:
    """The first whole folder stands; a file name may have folders of its own."""
    files = {"x": b"1", "deep/y": b"2", "index": b"3"}
    store.publish("p/1", files, last="index")
    store.publish("p/1", files, last="index")
    with pytest.raises(KeyExists):
        store.publish("p/1", {**files, "index": b"4"}, last="index")
    assert {key: store.read(key).data for key in store.keys("p/1/")} == {f"p/1/{k}": v for k, v in files.items()}


def test_publish_completes_a_folder_that_has_some_of_its_files(store: Store) -> None:
    """Files with the same content that lie there already are kept."""
    store.create("p/x", b"1")
    store.publish("p", {"x": b"1", "index": b"2"}, last="index")
    assert list(store.keys("p/")) == ["p/index", "p/x"]


def test_keys_are_sorted_and_begin_with_the_prefix(store: Store) -> None:
    """A prefix is text, not a folder, as on S3."""
    for key in ("r/10/m", "r/1/m", "r/1-a", "r/2/m", "s"):
        store.create(key, b"")
    assert list(store.keys("r/1")) == ["r/1-a", "r/1/m", "r/10/m"]
    assert list(store.keys("r/1/")) == ["r/1/m"]
    assert list(store.keys("")) == ["r/1-a", "r/1/m", "r/10/m", "r/2/m", "s"]
    assert list(store.keys("nothing/here")) == []


def test_a_listing_says_how_large_an_object_is_and_when_it_was_written(store: Store) -> None:
    """In the order of the keys, by the store's clock; no hidden ones."""
    before = datetime.now(UTC) - timedelta(seconds=2)  # S3 gives whole seconds
    store.publish("r/2", {"m": b"four", "index": b""}, last="index")
    store.create("r/1", b"two")
    found = list(store.listed("r/"))
    assert [(each.key, each.size) for each in found] == [("r/1", 3), ("r/2/index", 0), ("r/2/m", 4)]
    assert all(before <= each.written <= datetime.now(UTC) + timedelta(seconds=2) for each in found)
    assert list(store.listed("nothing/here")) == []


def test_a_folder_is_removed_whole_and_may_be_published_anew(store: Store) -> None:
    """Its neighbours stay, also one whose name begins the same; once more, or when it never was, is no error."""
    for name in ("p/1", "p/10"):
        store.publish(name, {"x": b"1", "deep/y": b"2", "index": b"3"}, last="index")
    for _ in range(2):
        store.remove("p/1", last="index")
        assert list(store.keys("p/")) == ["p/10/deep/y", "p/10/index", "p/10/x"]
    store.remove("never/was", last="index")
    store.publish("p/1", {"index": b"another"}, last="index")
    assert list(store.keys("p/1/")) == ["p/1/index"]


def test_a_removal_that_was_broken_off_leaves_no_folder_that_looks_whole(
    bucket: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On S3 objects go one by one: the last goes first. The next removal takes the rest."""
    bucket.publish("p", {"a": b"1", "z": b"2", "index": b"3"}, last="index")
    delete, gone = bucket._client.delete_object, []

    def dies(**call: str) -> object:
        if gone:
            raise StoreUnavailable("away")
        gone.append(call["Key"])
        return delete(**call)

    with monkeypatch.context() as patch:
        patch.setattr(bucket._client, "delete_object", dies)
        with pytest.raises(StoreUnavailable):
            bucket.remove("p", last="index")
    assert list(bucket.keys("p/")) == ["p/a", "p/z"]
    bucket.remove("p", last="index")
    assert list(bucket.keys("p/")) == []


@pytest.mark.parametrize(
    "key", ["", "/", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".tmp/x", "a\0b", "a\\b", "x" * 300]
)
def test_a_key_that_is_not_plain_words_is_refused(store: Store, key: str) -> None:
    """Nothing is written outside the store or beside its objects."""
    with pytest.raises(ValueError, match="cannot be a key"):
        store.create(key, b"")
    with pytest.raises(ValueError, match="cannot be a key"):
        store.publish(f"p/{key}", {"index": b""}, last="index")


def test_of_eight_writers_of_one_new_key_one_wins(store: Store) -> None:
    """Create, replace and publish each have exactly one winner, whose content stands."""

    def outcomes(write: Callable[[bytes], None]) -> list[bytes]:
        def attempt(data: bytes) -> bytes | None:
            try:
                write(data)
            except (KeyExists, KeyChanged):
                return None
            return data

        with ThreadPoolExecutor(8) as pool:
            return [data for data in pool.map(attempt, [b"%d" % n for n in range(8)]) if data is not None]

    assert outcomes(lambda data: store.create("c", data)) == [store.read("c").data]
    assert outcomes(lambda data: store.replace("r", data, None)) == [store.read("r").data]
    published = outcomes(lambda data: store.publish("p", {"x": b"", "last": data}, last="last"))
    assert published == [store.read("p/last").data]


def test_no_update_is_lost_in_a_counter_raised_by_compare_and_swap(store: Store) -> None:
    """Four threads raise a counter five times each: it ends at 20."""
    store.create("n", b"0")

    def raise_it(_: int) -> None:
        while True:
            seen = store.read("n")
            try:
                return store.replace("n", b"%d" % (int(seen.data) + 1), seen.etag)
            except KeyChanged:
                continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(raise_it, range(20)))
    assert store.read("n").data == b"20"


KEYS = st.sampled_from(["a", "b", "c/d", "c/e", "f/g/h"])
DATA = st.sampled_from([b"", b"1", b"22"])
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), KEYS, DATA),
        st.tuples(st.just("replace"), KEYS, DATA, st.booleans()),
        st.tuples(
            st.just("publish"), st.sampled_from(["p", "q/r"]), st.dictionaries(st.sampled_from("xyz"), DATA), DATA
        ),
    ),
    max_size=15,
)


def _in_model(model: dict[str, bytes], call: tuple, etags: dict[str, str]) -> bool:
    """Do the call on a dict; False when it must be refused."""
    if call[0] == "create":
        return model.setdefault(call[1], call[2]) == call[2]
    if call[0] == "replace":
        if call[3] != (call[1] in model):
            return False
        model[call[1]] = call[2]
        return True
    if f"{call[1]}/last" in model:
        return model[f"{call[1]}/last"] == call[3]
    model |= {f"{call[1]}/{name}": data for name, data in call[2].items()} | {f"{call[1]}/last": call[3]}
    return True


def _in_store(store: Store, call: tuple) -> bool:
    try:
        if call[0] == "create":
            store.create(call[1], call[2])
        elif call[0] == "replace":
            store.replace(call[1], call[2], _tag(store, call[1]) if call[3] else None)
        else:
            store.publish(call[1], {**call[2], "last": call[3]}, last="last")
    except (KeyExists, KeyChanged):
        return False
    return True


def _tag(store: Store, key: str) -> str:
    try:
        return store.read(key).etag
    except KeyNotFound:
        return '"a tag of nothing"'


def _behaves_like_a_dict(store: Store, calls: list[tuple]) -> None:
    model: dict[str, bytes] = {}
    for call in calls:
        assert _in_store(store, call) == _in_model(model, call, {})
    assert {key: store.read(key).data for key in store.keys("")} == model


@settings(max_examples=60, deadline=None)
@given(calls=CALLS)
def test_a_folder_behaves_like_a_dict(tmp_path_factory: pytest.TempPathFactory, calls: list[tuple]) -> None:
    """Whatever is written in whatever order, a folder holds what a dict would hold."""
    folder = tmp_path_factory.mktemp("model")
    _behaves_like_a_dict(open_store(f"file:{folder}"), calls)
    assert list((folder / ".tmp").iterdir()) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS)
def test_a_bucket_behaves_like_a_dict(bucket: S3Store, calls: list[tuple]) -> None:
    """Whatever is written in whatever order, a bucket holds what a dict would hold."""
    bucket._root = f"{uuid4()}/"
    _behaves_like_a_dict(bucket, calls)


@pytest.mark.parametrize("uri", ["", "/tmp/x", "file:", "ftp://x/y", "s3:", "s3:///x", "file://host/x"])
def test_an_address_that_is_no_store_is_refused(uri: str) -> None:
    """The message shows what may be written instead."""
    with pytest.raises(SettingsInvalid, match="s3://bucket/prefix"):
        open_store(uri)


# what a folder does


CREATE = """
import sys
from pipeline.store import KeyExists, open_store

sys.stdin.readline()
try:
    open_store(sys.argv[1]).create("k", sys.argv[2].encode())
except KeyExists:
    sys.exit(3)
"""


def test_of_eight_processes_one_wins(tmp_path: Path) -> None:
    """Exactly one of eight processes creates the object; opening the store sweeps away nobody's work."""
    command = [sys.executable, "-c", CREATE, f"file:{tmp_path}"]
    racers = [subprocess.Popen([*command, str(n)], cwd=ROOT, stdin=subprocess.PIPE) for n in range(8)]
    for racer in racers:
        racer.stdin.close()
    ends = [racer.wait(30) for racer in racers]
    assert sorted(ends) == [0] + [3] * 7
    assert open_store(f"file:{tmp_path}").read("k").data == b"%d" % ends.index(0)


def test_a_store_opened_while_a_write_begins_does_not_disturb_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep may take the folder of a write before that has locked it; the write then takes another."""
    store = open_store(f"file:{tmp_path}")
    real, swept = os.open, []

    def swept_before_it_is_locked(path, *args, **kwargs):
        if Path(path).parent == tmp_path / ".tmp" and not swept:
            swept.append(path)
            Path(path).rmdir()
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", swept_before_it_is_locked)
    store.create("k", b"1")
    assert swept
    assert store.read("k").data == b"1"


KILL_EVERYWHERE = """
import sys
from pipeline.store import open_store
from tests.kill_points import killed_at

FILES = {"x": b"1" * 100_000, "deep/y": b"2", "index": b"3"}
for point in range(1000):
    uri = f"file:{sys.argv[1]}/{point}"
    killed = killed_at(point, lambda: open_store(uri).publish("p/1", FILES, last="index"))
    keys = list(open_store(uri, read_only=True).keys(""))
    assert keys in ([], ["p/1/deep/y", "p/1/index", "p/1/x"]), (point, keys)
    again = open_store(uri)
    again.publish("p/1", FILES, last="index")
    assert {key: again.read(key).data for key in again.keys("p/1/")} == {f"p/1/{k}": v for k, v in FILES.items()}
    assert list((again.root / ".tmp").iterdir()) == []
    if not killed:
        break
print(point)
"""


def test_a_publish_killed_at_any_point_leaves_all_or_nothing_and_can_be_run_again(tmp_path: Path) -> None:
    """SIGKILL before each touch of the file system: nobody sees a part, the rerun succeeds, nothing is left over."""
    done = subprocess.run(
        [sys.executable, "-c", KILL_EVERYWHERE, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 10


def test_opening_removes_what_the_dead_left_and_nothing_of_the_living(tmp_path: Path) -> None:
    """A folder aside without a lock goes; one that a writer holds stays."""
    store = open_store(f"file:{tmp_path}")
    (tmp_path / ".tmp" / "1-dead").mkdir()
    (tmp_path / ".tmp" / "1-dead" / "object").write_bytes(b"half")
    with store._staging() as staging:
        open_store(f"file:{tmp_path}")
        assert list((tmp_path / ".tmp").iterdir()) == [staging]


def test_an_object_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    """A key cannot lie beneath another object's key on a folder."""
    store = open_store(f"file:{tmp_path}")
    store.create("a", b"")
    store.create("b/c", b"")
    with pytest.raises(KeyExists):
        store.create("a/b", b"")
    with pytest.raises(KeyExists):
        store.publish("a", {"index": b""}, last="index")
    with pytest.raises(KeyExists):
        store.create("b", b"")
    with pytest.raises(KeyChanged):
        store.replace("b", b"", None)


def test_a_publish_over_foreign_objects_is_refused(tmp_path: Path) -> None:
    """Objects with other content, in a folder that is not whole, are not overwritten."""
    store = open_store(f"file:{tmp_path}")
    store.create("p/x", b"other")
    with pytest.raises(KeyExists):
        store.publish("p", {"x": b"1", "index": b"2"}, last="index")
    assert list(store.keys("")) == ["p/x"]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write fails with a sentence that says what to do, and no part of it stays."""
    store = open_store(f"file:{tmp_path}")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnavailable, match=r"disk of .* is full"):
        store.publish("p", {"index": b""}, last="index")
    assert list(store.keys("")) == []
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_a_place_that_cannot_be_a_folder_is_said(tmp_path: Path) -> None:
    """A store below a file is a wrong setting."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SettingsInvalid, match="cannot be used"):
        open_store(f"file:{tmp_path}/file/store")


def test_a_lock_that_is_never_given_back_ends_in_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for another process is bounded."""
    monkeypatch.setattr("pipeline.store.files.LOCK_SECONDS", 0.05)
    store = open_store(f"file:{tmp_path}")
    with store._locked(), pytest.raises(StoreUnavailable, match="locked"):
        store.replace("k", b"", None)


def test_a_store_opened_for_reading_makes_nothing(tmp_path: Path) -> None:
    """Looking into a store that is not there leaves no folder behind."""
    assert list(open_store(f"file:{tmp_path}/none", read_only=True).keys("")) == []
    assert not (tmp_path / "none").exists()


# what S3 does


class _IgnoresConditions(BaseHTTPRequestHandler):
    """A server that answers 200 to every write, whatever its condition, as some S3 servers do."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_server_that_ignores_conditions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found out when the store is opened, not when two runs have overwritten each other."""
    server = HTTPServer(("127.0.0.1", 0), _IgnoresConditions)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        _point_to(monkeypatch, f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(SettingsInvalid, match="ignores conditional writes"):
            open_store("s3://bucket/x")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _point_to(monkeypatch: pytest.MonkeyPatch, url: str, key: str = "test-key") -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")


def test_a_server_that_is_away_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is an error to try again."""
    _point_to(monkeypatch, f"http://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(StoreUnavailable, match="does not answer"):
        open_store("s3://bucket/x")


def test_wrong_credentials_and_a_missing_bucket_are_wrong_settings(
    s3: S3Server, s3_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying again would not help, so the error says so."""
    with pytest.raises(SettingsInvalid, match="no such bucket"):
        open_store("s3://not-there/x", read_only=True).read("k")
    _point_to(monkeypatch, s3.url, key="wrong")
    with pytest.raises(SettingsInvalid, match="refuses"):
        open_store(f"s3://{BUCKET}/x")


def test_files_of_a_publish_under_way_are_not_touched_and_old_leftovers_are_replaced(
    bucket: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file without its ``last`` belongs to somebody until it is too old to be of a living publish."""
    bucket.create("p/x", b"somebody else's")
    with pytest.raises(StoreUnavailable, match="being written by somebody else"):
        bucket.publish("p", {"x": b"1", "index": b"2"}, last="index")
    monkeypatch.setattr(s3_store, "LEFTOVER_SECONDS", -1)
    bucket.publish("p", {"x": b"1", "index": b"2"}, last="index")
    assert bucket.read("p/x").data == b"1"
