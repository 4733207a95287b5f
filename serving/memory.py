"""Gives memory of a release that left the slot back to the system. Nothing else."""

from __future__ import annotations

import ctypes


def release_memory() -> None:
    """Without this glibc keeps the pages of dropped models: 423 MB instead of 155 MB after 400 reloads of 20 MB."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has it
    if trim is not None:
        trim(0)
