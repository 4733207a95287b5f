"""The slot holds what this process answers with now. It touches no disk and decides nothing."""

from __future__ import annotations

from serving.errors import NoRelease
from serving.release import LoadedRelease


class Slot:
    """One reference, swapped whole: a reader sees the old release or the new one, never a mixture.

    Only a release that has already answered may be put in. The old one goes when the last request that took it ends.
    """

    def __init__(self) -> None:
        self._live: LoadedRelease | None = None

    @property
    def live(self) -> LoadedRelease | None:
        return self._live

    def take(self) -> LoadedRelease:
        """What answers now. Raises ``NoRelease`` before the first release."""
        live = self._live
        if live is None:
            raise NoRelease("no release has gone live here yet")
        return live

    def swap(self, release: LoadedRelease) -> None:
        self._live = release
