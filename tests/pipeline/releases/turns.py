"""Actions that overlap, one call of store or registry at a time, in an order that a test chooses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

STEPPED = {"read", "create", "replace", "publish", "keys", "alias", "set_alias"}


class Stepped:
    """What it wraps, with ``before`` called ahead of each call that others can see or meet."""

    def __init__(self, wrapped: Any, before: Callable[[str], None]) -> None:
        self._wrapped, self._before = wrapped, before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wrapped, name)
        if name not in STEPPED:
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            self._before(name)
            return found(*arguments, **options)

        return call


class Turns:
    """Runs the actions in threads of which one at a time moves, up to its next call; ``schedule`` says which."""

    def __init__(self, schedule: Sequence[int]) -> None:
        self._schedule = list(schedule)
        self._changed = threading.Condition()
        self._waiting: set[int] = set()
        self._done: set[int] = set()
        self._turn: int | None = None
        self.order: list[tuple[int, str]] = []
        self.results: dict[int, Any] = {}

    def run(self, actions: Sequence[Callable[[Callable[[str], None]], Any]]) -> list[Any]:
        """What each action answered, or the error it ended with. An action is given what to call before a step."""
        threads = [
            threading.Thread(target=self._act, args=(number, action), daemon=True)
            for number, action in enumerate(actions)
        ]
        for thread in threads:
            thread.start()
        for step in range(100_000):
            with self._changed:
                assert self._changed.wait_for(lambda: len(self._waiting | self._done) == len(actions), 30)
                if not self._waiting:
                    break
                ready = sorted(self._waiting)
                place = self._schedule[step] if step < len(self._schedule) else step
                self._turn = ready[place % len(ready)]
                self._waiting.remove(self._turn)
                self._changed.notify_all()
        for thread in threads:
            thread.join()
        return [self.results[number] for number in range(len(actions))]

    def _act(self, number: int, action: Callable[[Callable[[str], None]], Any]) -> None:
        try:
            self.results[number] = action(lambda name: self._wait(number, name))
        except BaseException as error:
            self.results[number] = error
        with self._changed:
            self._done.add(number)
            self._changed.notify_all()

    def _wait(self, number: int, name: str) -> None:
        with self._changed:
            self._waiting.add(number)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._turn == number, 30)
            self._turn = None
            self.order.append((number, name))
