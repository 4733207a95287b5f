"""What a person sees while it works."""

import io

from rich.console import Console

from local.board import Board


def test_without_a_terminal_each_change_is_a_line():
    """And only a change is."""
    out = io.StringIO()
    with Board(Console(file=out, width=200), "Title", ("one", "second")) as board:
        for _ in range(3):
            board.set("one", "working")
        board.set("second", "waiting")
        board.set("one", "done", "12 [rows] of x", 2.25)
        board.set("one", "done", "12 [rows] of x", 2.25)
    assert out.getvalue().splitlines() == ["Title", "  one     working", "  one     done       2.2 s  12 [rows] of x"]


def test_on_a_terminal_there_is_one_picture():
    """With markup in results shown as it is."""
    out = io.StringIO()
    console = Console(file=out, width=60, force_terminal=True)
    with Board(console, "[Title]", ("one", "second")) as board:
        board.set("one", "failed", "[red]x[/red]")
    picture = out.getvalue().rpartition("Title")[2]
    assert "✗" in picture
    assert "[red]x[/red]" in picture


def test_the_time_stands_still_when_it_is_over():
    """Its own time if it is known, else what passed here."""
    board = Board(Console(file=io.StringIO()), "Title", ("one",))
    board.set("one", "working")
    board.set("one", "done")
    line = board.lines["one"]
    assert line.elapsed == line.seconds is not None
