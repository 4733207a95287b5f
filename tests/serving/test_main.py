"""serving/__main__.py, as a real process."""

import json
import signal
import socket
import subprocess
import threading
import time
from contextlib import closing

from tests.serving import tiny
from tests.serving.process import command, serving, wait_for


def ready(served):
    return served.ask("GET", "/readyz").status == 200


def test_from_an_empty_store_to_a_price_to_the_next_release(root):
    """The process starts with nothing, goes live when a release appears, and follows the channel by polling."""
    with serving(root, poll_seconds=0.1) as served:
        assert served.ask("GET", "/readyz").status == 503
        tiny.go(root, 1)
        wait_for(lambda: ready(served))
        answer = served.ask("POST", "/v1/predict", {"rows": [tiny.ROW]})
        assert answer.document["predictions"] == [tiny.expected(1, tiny.ROW)]
        tiny.go(root, 2)
        wait_for(lambda: served.ask("GET", "/livez").headers["x-model-version"] == "2")
        lines = [json.loads(line) for line in served.log.read_text().splitlines()]
        assert [line["version"] for line in lines if line["message"] == "release live"] == [1, 2]


def test_a_refused_release_leaves_the_old_one_answering(root):
    """The reason is in the status and in the log, prices go on."""
    tiny.go(root, 1)
    with serving(root, poll_seconds=60) as served:
        wait_for(lambda: ready(served))
        made = tiny.bundle(2)
        release = tiny.publish(root, 2, made)
        tiny.write(root / "releases/car_price/2/model.onnx", made.model[:-1])
        tiny.point(root, release, 2)
        status = served.push().document
        assert (status["version"], status["ready"], status["generation"]) == (1, True, 1)
        assert status["refusal"]["reason"].startswith("model.onnx has SHA-256")
        assert served.ask("POST", "/v1/predict", {"rows": [tiny.ROW]}).headers["x-model-version"] == "1"
        assert "release refused" in served.log.read_text()


def test_a_body_that_never_ends_is_cut_off(root):
    """A chunked body above the limit is answered 413 while it is still being sent."""
    with serving(root) as served, socket.create_connection(("127.0.0.1", served.port), 20) as client:
        client.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(33):
            client.sendall(b"8000\r\n" + b" " * 0x8000 + b"\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def test_sigterm_lets_a_request_that_has_begun_end_well(root):
    """A request whose body is still on its way is answered, and the process ends with code 0."""
    tiny.go(root, 1)
    with serving(root, drain_seconds=0) as served:
        wait_for(lambda: ready(served))
        body = json.dumps({"rows": [tiny.ROW]}).encode()
        with socket.create_connection(("127.0.0.1", served.port), 20) as client:
            head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            client.sendall(head + body[:10])
            time.sleep(0.1)
            served.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            client.sendall(body[10:])
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        assert served.process.wait(10) == 0


def test_while_draining_no_request_fails(root):
    """From SIGTERM to the end clients get answers and are sent away one by one; new ones are told not ready."""
    tiny.go(root, 1)
    failed, sent_away = [], []

    def client(served):
        with closing(served.connection()) as connection:
            while served.process.poll() is None:
                answer = served.ask("POST", "/v1/predict", {"rows": [tiny.ROW]}, connection=connection)
                if answer.status != 200:
                    failed.append(answer)
                if answer.headers.get("connection") == "close":
                    sent_away.append(answer)
                    return

    with serving(root, drain_seconds=0.5) as served:
        wait_for(lambda: ready(served))
        threads = [threading.Thread(target=client, args=(served,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        served.process.send_signal(signal.SIGTERM)
        wait_for(lambda: served.ask("GET", "/readyz").status == 503)
        for thread in threads:
            thread.join(10)
        assert not failed
        assert len(sent_away) == 4
        assert served.process.wait(10) == 0


def start_and_fail(**settings) -> str:
    found = subprocess.run(**command(**settings), capture_output=True, text=True, timeout=30)
    assert found.returncode == 1
    assert found.stdout == ""
    return found.stderr


def test_a_taken_port_is_one_line(root):
    """No stack trace, one sentence."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = start_and_fail(store=f"file:{root}", port=port)
    assert message.startswith(f"serving: cannot listen on 127.0.0.1 port {port}: ")
    assert message.count("\n") == 1


def test_a_taken_port_of_grpc_is_one_line_too(root):
    """Also with several workers, which would otherwise try for ever."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = subprocess.run(
            **command(store=f"file:{root}", port=0, grpc_port=port, workers=2),
            capture_output=True,
            text=True,
            timeout=20,
        )
    assert found.returncode == 1
    assert "SERVING_GRPC_PORT" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_wrong_setting_is_one_line(root):
    """The process does not start, and the line names the setting."""
    message = start_and_fail(store=f"file:{root}", prot=1)
    assert message == "serving: SERVING_PROT is not a setting; did you mean SERVING_PORT?\n"
