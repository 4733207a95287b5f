"""Requests for prices through the gateway, one after the other while a test does something to the stack.

Not here: what the right answer is (``days.py``).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import requests

PAUSE_SECONDS, PATIENCE_SECONDS = 0.05, 15


@dataclass(frozen=True)
class Answer:
    """What was said, and which version said it."""

    version: int
    digest: str
    price: float


@dataclass
class Tally:
    """``failed`` tells each failure with its time; ``answers`` are all the different ones."""

    asked: int = 0
    failed: list[str] = field(default_factory=list)
    answers: Counter[Answer] = field(default_factory=Counter)


@dataclass(frozen=True)
class Client:
    """Somebody who asks the price of one car again and again."""

    url: str
    key: str
    row: Mapping[str, Any]

    def ask(self, session: requests.Session) -> Answer:
        """As a visitor of his own, who may meet a challenger.

        Raises when the answer is none, or its head names another version than its body.
        """
        body, headers = {"rows": [self.row]}, {"x-api-key": self.key, "x-gavel-sticky": token_hex(4)}
        got = session.post(f"{self.url}/v1/predict", json=body, headers=headers, timeout=PATIENCE_SECONDS)
        if got.status_code != 200:
            raise ValueError(f"HTTP {got.status_code}: {got.text[:200]}")
        found = got.json()
        answer = Answer(found["version"], found["digest"], found["predictions"][0]["price"])
        if (got.headers["x-model-version"], got.headers["x-model-digest"]) != (str(answer.version), answer.digest):
            raise ValueError(f"{answer} came under the name of {dict(got.headers)}")
        return answer

    def ask_once(self) -> Answer:
        with direct() as session:
            return self.ask(session)

    @contextmanager
    def asking(self) -> Iterator[Tally]:
        """Two ask until the block ends: one on a connection that stays, one on a new connection each time."""
        tally, stop = Tally(), threading.Event()
        threads = [threading.Thread(target=self._until, args=(stop, tally, each)) for each in (True, False)]
        for thread in threads:
            thread.start()
        try:
            yield tally
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE_SECONDS * 2)

    def _until(self, stop: threading.Event, tally: Tally, stay: bool) -> None:
        with direct() as session:
            while not stop.wait(PAUSE_SECONDS):
                tally.asked += 1
                try:
                    tally.answers[self.ask(session)] += 1
                except (requests.RequestException, ValueError, LookupError) as error:
                    tally.failed.append(f"{datetime.now(UTC):%H:%M:%S.%f} {error}")
                if not stay:
                    session.close()


def direct() -> requests.Session:
    """Past any proxy of this machine."""
    session = requests.Session()
    session.trust_env = False
    return session
