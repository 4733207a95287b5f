"""A child process by fork: it does one thing, and dies with its parent. What it does is its starter's business."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable

log = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1


def fork(work: Callable[[], int]) -> int:
    """The process id of a child that ends with what ``work`` returns and never comes back to the caller's code."""
    with warnings.catch_warnings():
        # Python 3.12 warns of any thread, also of those that numpy and onnxruntime keep ready and that hold nothing.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = work()
    except BaseException:
        log.exception("a child process failed")
    finally:
        sys.stderr.flush()
        os._exit(code)


def die_with(parent: int) -> None:
    """Make the system kill this process when ``parent`` dies, however that happens. Only Linux has it."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
