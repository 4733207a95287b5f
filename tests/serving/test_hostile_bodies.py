"""No input hurts: each of the requests in hostile_requests.py, against a real process, by every door that takes JSON."""

import json
import socket
import statistics
import threading
import time
from contextlib import closing

import pytest

from serving.app import ROUTES
from serving.responses import PROBLEMS
from tests.serving import tiny
from tests.serving.hostile_requests import BODIES, GOOD, NOT_JSON, TARGETS, VALUES, WIRE
from tests.serving.process import serving, wait_for

KNOWN = {name for name, target in TARGETS.items() if any(r.path_regex.fullmatch(target.path) for r in ROUTES)}
DOORS = sorted(KNOWN)
ONE_A_PATH = sorted({TARGETS[name].path: name for name in DOORS}.values())
NOT_ECHOED = ("SECRET", "Ford", "Traceback", "File ", "line 1 of", ".py")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile") / "store"
    root.mkdir()
    tiny.go(root, 1)
    with serving(root) as served:
        wait_for(lambda: served.ask("GET", "/readyz").status == 200)
        yield served
        assert served.process.poll() is None, "the process died of it"
        assert "Traceback" not in served.log.read_text()


def refused(served, name, body, headers=None):
    """Checks that it is a proper problem. Returns its code."""
    path = TARGETS[name].path
    answer = served.ask("POST", path, body, headers)
    assert answer.status < 500, answer.document["code"]
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.document
    assert answer.status == PROBLEMS[document["code"]][0] == document["status"]
    assert len(answer.body) < 30_000
    text = answer.body.decode()
    assert not [word for word in NOT_ECHOED if word in text]
    assert served.ask("POST", path, GOOD[name]).status == 200
    return document["code"]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("value", VALUES)
def test_a_hostile_value_is_refused(served, door, value):
    """4xx as a problem; what is not JSON is called that, whatever else is wrong is said of the row or the shape."""
    column, raw = VALUES[value]
    body = TARGETS[door].cell(column, raw).encode()
    if value.startswith("deep") or value == "half a million decimals":  # refused at first sight, or when parsed
        assert refused(served, door, body) in {"rows_invalid", "not_json", "too_many_rows"}
    elif value in NOT_JSON and not (value == "nan" and TARGETS[door].nan):
        assert refused(served, door, body) == "not_json"
    else:
        assert refused(served, door, body) in {"rows_invalid", "wrong_shape", "too_many_rows"}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("body", BODIES)
def test_a_hostile_body_is_refused(served, door, body):
    """4xx as a problem, whatever the bytes are and whatever they are said to be."""
    make, headers = BODIES[body]
    refused(served, door, make(TARGETS[door]), headers)


def exchange(served, sent: bytes, seconds: float = 10) -> bytes:
    """What comes back on a connection of its own, until the server closes it or is silent after an answer."""
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=seconds)) as connection:
        received = b""
        try:
            connection.sendall(sent)
            while chunk := connection.recv(65_536):
                received += chunk
                connection.settimeout(0.3)
        except (TimeoutError, ConnectionError):
            pass
        return received


def status_of(received: bytes) -> int:
    found = [int(part[2:5]) for part in received.split(b"HTTP/1.")[1:]]
    return next((status for status in found if status >= 200), 0)


@pytest.mark.parametrize("door", ONE_A_PATH)
@pytest.mark.parametrize("name", WIRE)
def test_a_hostile_request_is_survived(served, door, name):
    """Refused or answered properly, never 5xx, nothing of it echoed, and the next connection is answered."""
    make, allowed = WIRE[name]
    received = exchange(served, make(TARGETS[door].path, GOOD[door]))
    assert status_of(received) in allowed, received[:300]
    assert b"Traceback" not in received
    assert b"a" * 100 not in received
    assert served.ask("POST", TARGETS[door].path, GOOD[door]).status == 200


@pytest.mark.parametrize("door", ONE_A_PATH)
def test_pipelined_requests_are_answered_in_order(served, door):
    """Good, bad, good on one connection: each gets its own answer."""
    from tests.serving.hostile_requests import request

    path = TARGETS[door].path
    received = exchange(served, request(path, GOOD[door]) + request(path, b"{") + request(path, GOOD[door]))
    assert [int(part[2:5]) for part in received.split(b"HTTP/1.")[1:]] == [200, 400, 200]


@pytest.mark.parametrize("door", ONE_A_PATH)
def test_a_body_that_is_cut_takes_nothing_with_it(served, door):
    """Half a body and then nothing, a hundred times at once: the others are answered meanwhile and afterwards."""
    from tests.serving.hostile_requests import request

    whole = request(TARGETS[door].path, GOOD[door])
    connections = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(100)]
    for connection in connections:
        connection.sendall(whole[:-5])
    assert served.ask("POST", TARGETS[door].path, GOOD[door]).status == 200
    for connection in connections:
        connection.close()
    assert served.ask("POST", TARGETS[door].path, GOOD[door]).status == 200


class Prober:
    """Asks /livez on one connection all the time, and keeps the longest wait."""

    def __init__(self, served) -> None:
        self._served, self._stop = served, threading.Event()
        self.longest = 0.0
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with closing(self._served.connection()) as connection:
            connection.connect()
            while not self._stop.is_set():
                started = time.perf_counter()
                assert self._served.ask("GET", "/livez", connection=connection).status == 200
                self.longest = max(self.longest, time.perf_counter() - started)

    def __enter__(self):
        self._thread.start()
        time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


HEAVY = {name: VALUES[name] for name, (_, raw) in VALUES.items() if len(raw) > 100_000}
HEAVY_BODIES = [
    "blanks only", "binary", "100,000 rows", "330,000 empty rows", "150,000 unknown columns",
    "1,000 rows of 100 unknown columns", "1,000 bad rows",
]  # fmt: skip


def heavy(door):
    target = TARGETS[door]
    yield from ((name, target.cell(*value).encode()) for name, value in HEAVY.items())
    yield from ((name, BODIES[name][0](target)) for name in HEAVY_BODIES)


@pytest.mark.parametrize("door", DOORS)
def test_nobody_waits_for_a_hostile_body(served, door, capsys):
    """While the heaviest are read another connection is answered: 50 ms on a quiet machine; some more may pass here."""
    waits = {}
    for name, body in heavy(door):
        found = []
        for _ in range(3):
            with Prober(served) as prober:
                served.ask("POST", TARGETS[door].path, body)
            found.append(prober.longest)
        waits[name] = statistics.median(found)
    with capsys.disabled():
        worst = sorted(waits.items(), key=lambda item: -item[1])[:4]
        print(f"\n{door}: " + ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in worst))  # noqa: T201
    assert max(waits.values()) < 0.2, waits


def test_every_list_is_long_enough():
    """At least sixty of them, by every door."""
    assert len(VALUES) + len(BODIES) + len(WIRE) >= 60
    assert json.loads(GOOD["predict"])
