"""Stores that break at one call: the process is killed there, or the answer is lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.errors import StoreUnavailable
from tests.pipeline.releases.turns import STEPPED


class Killed(BaseException):
    """The process ends here; no handler of errors sees it."""


class BreaksAt:
    """What it wraps, until its call number ``point`` (from 0): ``error`` comes before the call has done its work, or after."""

    def __init__(self, wrapped: Any, point: int, error: Callable[[], BaseException], *, after: bool) -> None:
        self._wrapped, self._left, self._error, self._after = wrapped, point, error, after
        self.broke = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wrapped, name)
        return self._breaking(found) if name in STEPPED else found

    def _breaking(self, found: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            broken = self._left == -1
            self.broke = self.broke or broken
            if broken and not self._after:
                raise self._error()
            answer = found(*arguments, **options)
            if broken:
                raise self._error()
            return answer

        return call


def lost() -> BaseException:
    return StoreUnavailable("the answer was lost")
