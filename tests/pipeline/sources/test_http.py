"""A web address gives the rows of a day, through a server that misbehaves in every way that passes."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.errors import DataInvalid, SettingsInvalid, SourceUnavailable
from pipeline.sources import http as http_module
from pipeline.sources.http import HttpSource
from tests.pipeline.auction_rows import DATASET, TUESDAY, as_csv, as_parquet, sales
from tests.s3_server import free_ports


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    claim: int | None = None  # the Content-Length it tells, when not the true one


class Server(ThreadingHTTPServer):
    """Gives the answers in turn, the last one for ever, and keeps the paths it was asked for."""

    answers: list[Answer]
    asked: list[str]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked = [], []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/sales-{{day}}.csv"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body) if answer.claim is None else answer.claim))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def read(server: Server, *answers: Answer):
    server.answers = list(answers)
    return HttpSource(server.url, DATASET, pause=0.001).read(TUESDAY)


GOOD = Answer(body=as_csv(sales()))


@pytest.mark.parametrize("body", [as_csv(sales()), as_csv(sales()).rstrip(), as_parquet(sales())])
def test_the_day_is_put_into_the_address(server: Server, body: bytes) -> None:
    """CSV or Parquet comes back as the day's rows; a told length stands for the last line end."""
    assert list(read(server, Answer(body=body))["vin"]) == list(sales()["vin"])
    assert server.asked == ["/sales-2026-03-03.csv"]


@pytest.mark.parametrize("status", [204, 404])
def test_no_delivery_means_no_sales(server: Server, status: int) -> None:
    """One question is enough."""
    assert read(server, Answer(status)).empty
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "bad",
    [Answer(500), Answer(503), Answer(429, headers={"Retry-After": "0"}), Answer(body=GOOD.body[:900], claim=9_000)],
    ids=["500", "503", "429", "short body"],
)
def test_what_passes_is_asked_again_and_no_more_than_four_times(server: Server, bad: Answer) -> None:
    """Three failures and a good answer give the rows; a fourth failure is an error to try again later."""
    assert len(read(server, bad, bad, bad, GOOD)) == 20
    server.asked.clear()
    with pytest.raises(SourceUnavailable):
        read(server, bad)
    assert len(server.asked) == http_module.TRIES


def test_retry_after_is_honoured_within_bounds(server: Server) -> None:
    """A second is waited; an hour is left to the next run, at once."""
    begin = time.monotonic()
    assert len(read(server, Answer(429, headers={"Retry-After": "1"}), GOOD)) == 20
    assert 1 <= time.monotonic() - begin < 5
    server.asked.clear()
    with pytest.raises(SourceUnavailable, match="asks to wait 3600 s"):
        read(server, Answer(503, headers={"Retry-After": "3600"}))
    assert len(server.asked) == 1


def test_a_server_that_is_away_may_come_back() -> None:
    """No connection is an error to try again."""
    source = HttpSource(f"http://127.0.0.1:{free_ports(1)[0]}/{{day}}", DATASET, pause=0.001)
    with pytest.raises(SourceUnavailable, match="does not answer"):
        source.read(TUESDAY)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (Answer(body=b"<html>log in</html>"), DataInvalid, "web page"),
        (Answer(403), SettingsInvalid, "answers 403"),
        (Answer(302, headers={"Location": "/again"}), SettingsInvalid, "circle"),
        (Answer(302, headers={"Location": "ftp://x/y"}), DataInvalid, "cannot be read"),
        (Answer(body=b"not gzip", headers={"Content-Encoding": "gzip"}), DataInvalid, "cannot be read"),
    ],
)
def test_what_does_not_pass_is_asked_once(server: Server, answer: Answer, error: type[Exception], message: str) -> None:
    """A wrong page or a refusal fails at once, with a reason."""
    with pytest.raises(error, match=message):
        read(server, answer)
    assert len(server.asked) <= 6


def test_a_delivery_that_is_too_large_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit holds for the unpacked bytes."""
    monkeypatch.setattr(http_module, "MOST_BYTES", 1_000)
    with pytest.raises(DataInvalid, match="larger than"):
        read(server, GOOD)


@pytest.mark.parametrize("uri", ["https://host/sales.csv", "http://example.org/{day}.csv", "https:{day}x"[:9]])
def test_an_address_without_day_or_encryption_is_refused(uri: str) -> None:
    """Plain http is for this machine only."""
    with pytest.raises(SettingsInvalid):
        HttpSource(uri, DATASET)


def test_secrets_in_the_address_are_not_shown() -> None:
    """Neither user and password nor the query are in the description."""
    source = HttpSource("https://me:secret@host/{day}.csv?token=hidden", DATASET)
    assert source.description == "https://host/{day}.csv"
