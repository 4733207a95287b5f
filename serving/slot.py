"""The slot holds what this process answers with now, and what it answered with before. It touches no disk."""

from __future__ import annotations

from pipeline.contract.channel import Release
from serving.errors import NoRelease
from serving.release import LoadedRelease


class Slot:
    """One reference, swapped whole: a reader sees the old release or the new one, never a mixture.

    Only a release that has already answered may be put in. The one before it stays loaded, so that going back needs
    no load; the one before that goes when the last request that took it ends.
    """

    def __init__(self) -> None:
        self._live: LoadedRelease | None = None
        self._previous: LoadedRelease | None = None

    @property
    def live(self) -> LoadedRelease | None:
        return self._live

    @property
    def previous(self) -> LoadedRelease | None:
        return self._previous

    def take(self) -> LoadedRelease:
        """What answers now. Raises ``NoRelease`` before the first release."""
        live = self._live
        if live is None:
            raise NoRelease("no release has gone live here yet")
        return live

    def swap(self, release: LoadedRelease) -> LoadedRelease | None:
        """Make ``release`` live; only one thread may. Returns the release that leaves, if one does."""
        leaving = None if release is self._previous else self._previous
        self._previous, self._live = self._live, release
        return leaving

    def go_back(self, wanted: Release) -> bool:
        """Make the previous release live again if it is ``wanted``."""
        previous = self._previous
        if previous is None or not is_of(previous, wanted):
            return False
        self.swap(previous)
        return True


def is_of(loaded: LoadedRelease, release: Release) -> bool:
    return (loaded.version, loaded.digest) == (release.version, release.digest)
