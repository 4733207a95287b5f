"""serving/store/s3.py, against a real S3 server (SeaweedFS) and against a socket that answers as no server should"""

import json
import os
import signal
import socket
import threading
from contextlib import ExitStack, closing

import obstore
import pytest
from obstore.store import S3Store as Bucket

from pipeline.contract.bundle import FILES, MODEL
from pipeline.contract.channel import Channel, channel_key, release_prefix
from serving.errors import SettingsInvalid, StoreUnavailable
from serving.store import ObjectMissing, ObjectTooLarge, open_store
from serving.store.s3 import S3Store
from tests.s3_server import BUCKET, ports_of_a_server, running_s3
from tests.serving import tiny
from tests.serving.process import serving, wait_for

SECRET = "reader-secret"


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def read_only(s3, monkeypatch):
    """The environment of a replica: a key that may read."""
    use(monkeypatch, s3.read_only)
    return s3


def use(monkeypatch, environment):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def put(s3, key, data):
    with closing(s3.client()) as client:
        client.put_object(Bucket=BUCKET, Key=key, Body=data)


def go(s3, version, generation=None, prefix="", **changes):
    made = tiny.bundle(version, **changes)
    for name in FILES:
        put(s3, f"{prefix}{release_prefix(tiny.MODEL, version)}/{name}", made.files[name])
    channel = Channel(tiny.MODEL, generation or version, tiny.release_of(version, made))
    put(s3, prefix + channel_key(tiny.MODEL), channel.to_bytes())


def live(served):
    return served.ask("GET", "/v1/model").document.get("version")


def versions(served):
    return [worker.get("version") for worker in served.ask("GET", "/v1/model").document["workers"]]


def worker_pids(served):
    lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    return [line["pid"] for line in lines if line["message"] == "worker started"]


def store_error(served):
    return served.ask("GET", "/v1/model").document.get("store_error") or ""


@pytest.mark.parametrize("root", ["", "/team/prices", "/team/prices/"])
def test_an_object_is_read_below_the_prefix(read_only, root):
    """The key is the path below bucket and prefix; a slash at the end says nothing."""
    put(read_only, f"{root.strip('/')}/a/b".lstrip("/"), root.strip("/").encode() or b"top")
    assert open_store(f"s3://{BUCKET}{root}").read("a/b", 100) == (root.strip("/").encode() or b"top")


def test_a_key_that_may_only_read_reads(read_only):
    """Reading needs no right to write, and the key of this test has none."""
    put(read_only, "guarded", b"data")
    assert open_store(f"s3://{BUCKET}").read("guarded", 4) == b"data"
    with pytest.raises(obstore.exceptions.PermissionDeniedError):
        obstore.put(Bucket(BUCKET, client_options={"allow_http": True}), "guarded", b"other")


def test_a_missing_object_is_not_a_broken_store(read_only):
    """Nothing under a key is an answer."""
    with pytest.raises(ObjectMissing):
        open_store(f"s3://{BUCKET}").read("none/at/all", 1)


def test_a_larger_object_is_refused_before_it_is_read(read_only):
    """One byte above the limit is refused with both numbers."""
    put(read_only, "large", b"12345")
    with pytest.raises(ObjectTooLarge, match="large has 5 bytes, 4 are allowed"):
        open_store(f"s3://{BUCKET}").read("large", 4)
    assert open_store(f"s3://{BUCKET}").read("large", 5) == b"12345"


def test_a_missing_bucket_is_said_plainly(read_only, monkeypatch):
    """It is trouble with the store, not an empty store."""
    use(monkeypatch, read_only.environment)
    with pytest.raises(StoreUnavailable, match=r"s3://nowhere: there is no such bucket; make it, or correct"):
        open_store("s3://nowhere").read("any", 1)


@pytest.mark.parametrize(("name", "value"), [("AWS_SECRET_ACCESS_KEY", "wrong"), ("AWS_ACCESS_KEY_ID", "nobody")])
def test_wrong_credentials_are_said_without_the_secret(read_only, monkeypatch, name, value):
    """The message names the server's reason and the variables to mend."""
    monkeypatch.setenv(name, value)
    with pytest.raises(StoreUnavailable, match=r"refuses to be read \(\w+\); mend AWS_ACCESS_KEY_ID") as caught:
        open_store(f"s3://{BUCKET}").read("any", 1)
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)


def test_the_same_trouble_is_said_in_the_same_words(read_only, monkeypatch):
    """What is away for an hour is one log line, so no times and ids are in the message."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    said = set()
    for _ in range(2):
        with pytest.raises(StoreUnavailable) as caught:
            open_store(f"s3://{BUCKET}").read("any", 1)
        said.add(str(caught.value))
    assert said == {
        "s3://gavel cannot be read (Connection refused); it is asked again: see that it runs at http://127.0.0.1:1"
    }


@pytest.mark.parametrize(
    "rest", ["", "//", "//b", "//a b/c", "//bucket/a/../b", "//bucket//x", "//bucket/?x", "//b%20c/d"]
)
def test_a_malformed_address_ends_the_start(rest):
    """The message says what to write."""
    with pytest.raises(SettingsInvalid, match="SERVING_STORE: write s3://BUCKET or s3://BUCKET/PREFIX"):
        open_store(f"s3:{rest}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_SECRET_ACCESS_KEY", f"{SECRET}\n"),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_REGION", "us east"),
        ("AWS_ENDPOINT_URL", "127.0.0.1:80"),
        ("AWS_ENDPOINT_URL_S3", "http://[::1"),
        ("AWS_ENDPOINT_URL_S3", "http://host:99999"),
        ("AWS_ENDPOINT_URL_S3", f"http://me:{SECRET}@host"),
        ("AWS_ENDPOINT_URL_S3", "ftp://host"),
    ],
)
def test_a_variable_that_cannot_be_used_ends_the_start(read_only, monkeypatch, name, value):
    """Its name is said, its value not: the library would panic at the first request."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid, match=f"^{name} is") as caught:
        open_store(f"s3://{BUCKET}")
    assert SECRET not in str(caught.value)


HEAD = b'HTTP/1.1 200 OK\r\nLast-Modified: Sun, 22 Nov 2026 23:50:19 GMT\r\nETag: "x"\r\nContent-Length: %d\r\n\r\n'


@pytest.fixture
def odd(monkeypatch):
    """A store whose server answers each connection with given bytes and, if told so, then keeps it open."""
    with ExitStack() as stack:

        def answering(data, *, hang=False, seconds=0.5):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            use(monkeypatch, {"AWS_ENDPOINT_URL_S3": url, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": SECRET})
            threading.Thread(target=_answer, args=(listener, data, hang), daemon=True).start()
            return S3Store(BUCKET, "", seconds)

        yield answering


def _answer(listener, data, hang):
    kept = []
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            break
        connection.recv(1 << 16)
        connection.sendall(data)
        kept.append(connection)
        if not hang:
            kept.pop().close()
    for connection in kept:
        connection.close()


@pytest.mark.parametrize("data", [b"", HEAD % 1000, HEAD % 1000 + b"x"])
def test_a_server_that_hangs_is_given_up(odd, data):
    """Before its answer, before the body or within it: the reader comes back with an error."""
    with pytest.raises(StoreUnavailable, match=r"cannot be read \(Timeout\)"):
        odd(data, hang=True).read("any", 1000)


def test_a_server_that_dies_in_mid_read_gives_nothing(odd):
    """Half an object is an error, never a short answer."""
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        odd(HEAD % 1000 + b"x" * 500).read("any", 1000)


@pytest.mark.parametrize("status", ["503 Service Unavailable", "429 Too Many Requests", "404 Not Found", "500 X"])
def test_what_is_no_answer_of_a_store_is_trouble(odd, status):
    """Also a 404 that does not say that the object is missing, as that of a proxy."""
    store = odd(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode(), seconds=5)
    with pytest.raises(StoreUnavailable, match=f"answers {status[:3]}"):
        store.read("any", 1)


def test_more_bytes_than_were_announced_are_not_taken(odd):
    """The size in the header is the most that can come, so the limit holds."""
    assert odd(HEAD % 3 + b"abcdef" * 1000).read("any", 3) == b"abc"


def test_an_answer_without_a_size_is_refused(odd):
    """Nobody could say how much memory it will take."""
    head = (HEAD % 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with pytest.raises(StoreUnavailable, match="Length"):
        odd(head + b"3\r\nabc\r\n0\r\n\r\n").read("any", 1000)


def test_a_replica_outlives_its_store(tmp_path, monkeypatch):
    """Away at the start: not ready, and ready when it comes. Killed: the old release answers. Back: the new one does."""
    (tmp_path / "s3").mkdir()
    ports = ports_of_a_server()
    url = f"http://127.0.0.1:{ports['s3.port']}"
    with ExitStack() as stack:
        first = ExitStack()
        use(
            monkeypatch,
            {"AWS_ENDPOINT_URL_S3": url, "AWS_ACCESS_KEY_ID": "reader-key", "AWS_SECRET_ACCESS_KEY": SECRET},
        )
        served = stack.enter_context(serving(tmp_path / "x", store=f"s3://{BUCKET}", poll_seconds=0.05))
        wait_for(lambda: "cannot be read" in store_error(served))
        assert served.ask("GET", "/readyz").status == 503
        with first:
            s3 = first.enter_context(running_s3(tmp_path / "s3", ports))
            go(s3, 1)
            wait_for(lambda: live(served) == 1)
            assert store_error(served) == ""
        wait_for(lambda: "cannot be read" in store_error(served))
        assert served.ask("POST", "/v1/predict", {"rows": [tiny.ROW]}).status == 200
        go(stack.enter_context(running_s3(tmp_path / "s3", ports)), 2)
        wait_for(lambda: live(served) == 2)
        assert SECRET not in served.log.read_text()


def test_forked_workers_all_read(read_only, tmp_path):
    """Each opens the store for itself after the fork, and so does one that replaces a dead one."""
    go(read_only, 1, prefix="forked/")
    with serving(tmp_path / "x", store=f"s3://{BUCKET}/forked", workers=2, poll_seconds=0.05) as served:
        wait_for(lambda: versions(served) == [1, 1])
        os.kill(worker_pids(served)[0], signal.SIGKILL)
        wait_for(lambda: len(worker_pids(served)) == 3)
        go(read_only, 2, prefix="forked/")
        wait_for(lambda: versions(served) == [2, 2])


def test_a_release_that_is_too_large_is_refused(read_only, tmp_path):
    """The reason has both numbers, and what answered before goes on."""
    go(read_only, 1, prefix="large/")
    with serving(tmp_path / "x", store=f"s3://{BUCKET}/large", poll_seconds=0.05, max_model_bytes=100_000) as served:
        wait_for(lambda: live(served) == 1)
        go(read_only, 2, prefix="large/", model=tiny.onnx_model(2, megabytes=1))
        refusal = wait_for(lambda: served.ask("GET", "/v1/model").document.get("refusal"))
        assert f"{MODEL} has" in refusal["reason"]
        assert "100000 are allowed" in refusal["reason"]
        assert live(served) == 1
