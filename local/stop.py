"""``make stop``: ends every process of the stack, also when the supervisor itself was killed."""

from __future__ import annotations

import sys

from rich.console import Console

from local.arguments import parse
from local.running import end_all


def main(arguments: list[str]) -> int:
    console = Console()
    ended = end_all(parse(arguments).state)
    console.print(f"Stopped ({ended} processes)." if ended else "Nothing was running.", highlight=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
