"""What a person sees while it works: one line for each thing, live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Column, Table
from rich.text import Text

SIGNS = {"waiting": "[dim]·[/]", "done": "[green]✓[/]", "skipped": "[yellow]-[/]", "failed": "[red]✗[/]"}
OVER = ("done", "skipped", "failed")


class Line:
    """One thing that waits, works or is over; ``note`` is its one-line result."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = "waiting"
        self.note = ""
        self.began: float | None = None
        self.seconds: float | None = None

    def change(self, state: str, note: str, seconds: float | None) -> bool:
        """Take over what is known now; whether it differs in anything a plain line would tell."""
        changed = (state, note) != (self.state, self.note)
        if state == "working" and self.began is None:
            self.began = time.monotonic()
        if state in OVER and self.state not in OVER:
            self.seconds = seconds if seconds is not None else self.elapsed
        self.state, self.note = state, note
        return changed

    @property
    def elapsed(self) -> float | None:
        return self.seconds if self.seconds is not None or self.began is None else time.monotonic() - self.began


class Board:
    """Lines under a title. Use it as a context; ``set`` changes a line."""

    def __init__(self, console: Console, title: str, names: Iterable[str]) -> None:
        self.console = console
        self.title = title
        self.lines = {name: Line(name) for name in names}
        self._width = max(map(len, self.lines), default=0)
        self._spinner = Spinner("dots")
        self._live = Live(get_renderable=self._picture, console=console, refresh_per_second=8)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        else:
            self.console.print(self.title, highlight=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def set(self, name: str, state: str, note: str = "", seconds: float | None = None) -> None:
        line = self.lines[name]
        if line.change(state, note, seconds) and not self.console.is_terminal and (note or state != "waiting"):
            took = f"{line.elapsed:.1f} s" if line.state in OVER and line.elapsed is not None else ""
            text = f"  {name:{self._width}}  {state:8} {took:>7}  {note}".rstrip()
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _picture(self) -> Group:
        table = Table.grid(*(Column(no_wrap=True, overflow="ellipsis") for _ in range(5)), padding=(0, 2))
        for line in self.lines.values():
            sign = self._spinner if line.state == "working" else Text.from_markup(SIGNS[line.state])
            took = "" if line.elapsed is None else f"{line.elapsed:.1f} s"
            table.add_row("", sign, line.name, Text(took, justify="right"), Text(line.note, overflow="ellipsis"))
        return Group(Text.from_markup(f"[bold]{escape(self.title)}[/]"), table)
