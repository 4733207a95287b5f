"""A stand-in for the system's name resolver: each look gets the next answer, the last one again and again."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

Answer = Sequence[str] | Exception


class FakeNames:
    """``answers`` are numeric hosts, or the error of a look. ``asked`` are the names. ``at`` runs before look N."""

    def __init__(self, *answers: Answer, at: dict[int, Callable[[], object]] | None = None) -> None:
        self.answers, self.at, self.asked = answers, at or {}, list[str]()

    def __call__(self, host: str, port: int | None, **options: Any) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        self.at.get(len(self.asked), lambda: None)()
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port or 0)) for each in answer]
