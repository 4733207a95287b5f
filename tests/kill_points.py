"""Kill an action with SIGKILL at each point at which it touches the file system, one after the other."""

import os
import signal
import sys
from collections.abc import Callable

TOUCHES = {"os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "os.truncate"}


def killed_at(point: int, action: Callable[[], object]) -> bool:
    """Run ``action`` in a forked child that dies just before its touch number ``point`` (from 0).

    False when the action ended before that. Call it from a process without threads.
    """
    child = os.fork()
    if child == 0:
        left = point

        def watch(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in TOUCHES or (event == "open" and _writes(arguments)):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, "the action failed by itself"
    return False


def _writes(arguments: tuple[object, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
