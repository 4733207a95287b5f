"""The ways in which this process may load and try releases. How it is done: ``loader.py``, ``trial.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.contract.channel import Release
from serving import loader
from serving.release import LoadedRelease

Load = Callable[[str, Release, Mapping[str, bytes]], LoadedRelease]
# The answers to the golden rows, by output; nothing is loaded into this process. Raises as ``Load``.
Attempt = Callable[[str, Release, Mapping[str, bytes]], Sequence[Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class Loading:
    """``champion`` loads what answers. ``beside`` loads and ``attempt`` tries all others, and never delays it."""

    champion: Load = loader.load
    beside: Load = loader.load
    attempt: Attempt = loader.attempt
