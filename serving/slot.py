"""The slot holds what this process answers with now, what it answered with before, and who stands beside it.

It touches no disk. Not here: who answers which request (``variants.py``).
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from pipeline.contract.channel import Release
from serving.errors import NoRelease
from serving.release import LoadedRelease
from serving.shadow import Shadow
from serving.tally import Tally
from serving.variants import Beside, Variant


class Slot:
    """One reference, swapped whole: a reader sees the old release or the new one, never a mixture.

    Only a release that has already answered may be put in. The one before it stays loaded, so that going back needs
    no load; the one before that goes when the last request that took it ends. ``beside`` is there while a challenger
    or a shadow is; it names the champion too, so that who uses it needs nothing else.
    """

    def __init__(self) -> None:
        self._live: LoadedRelease | None = None
        self.since = ""  # when it went live, ISO time, UTC
        self._previous: LoadedRelease | None = None
        self._challenger: LoadedRelease | None = None
        self._share = 0.0
        self._shadow: LoadedRelease | None = None
        self._champion: Variant | None = None  # counted anew with each challenger: both are of the same time
        self._writing = threading.Lock()
        self.beside: Beside | None = None

    @property
    def live(self) -> LoadedRelease | None:
        return self._live

    @property
    def previous(self) -> LoadedRelease | None:
        return self._previous

    @property
    def challenger(self) -> LoadedRelease | None:
        return self._challenger

    @property
    def champion(self) -> Variant | None:
        """The live release and what was counted of it; ``None`` while nobody has stood beside it."""
        return self._champion

    @property
    def shadow(self) -> LoadedRelease | None:
        return self._shadow

    def take(self) -> LoadedRelease:
        """What answers now. Raises ``NoRelease`` before the first release."""
        live = self._live
        if live is None:
            raise NoRelease("no release has gone live here yet")
        return live

    def answering(self, version: str) -> LoadedRelease:
        """What answers those who ask for ``version``: the challenger if it is that, else as ``take``."""
        challenger = self._challenger
        return challenger if challenger is not None and str(challenger.version) == version else self.take()

    def swap(self, release: LoadedRelease) -> LoadedRelease | None:
        """Make ``release`` live, out of whichever role it had. Returns the release that leaves, if one does."""
        with self._writing:
            before = self._previous
            self._challenger = None if release is self._challenger else self._challenger
            self._shadow = None if release is self._shadow else self._shadow
            if release is not self._live:
                self._previous, self._live = self._live, release
                self.since = datetime.now(UTC).isoformat(timespec="milliseconds")
            return self._left(before)

    def hold_challenger(self, release: LoadedRelease | None, share: float = 0.0) -> LoadedRelease | None:
        """Let ``release``, or nobody, answer its share of the requests. Returns the release that leaves."""
        with self._writing:
            before, self._challenger, self._share = self._challenger, release, share
            return self._left(before)

    def hold_shadow(self, release: LoadedRelease | None) -> LoadedRelease | None:
        """Let ``release``, or nobody, be the shadow. Returns the release that leaves."""
        with self._writing:
            before, self._shadow = self._shadow, release
            return self._left(before)

    def _left(self, before: LoadedRelease | None) -> LoadedRelease | None:
        self._stand()
        kept = (self._live, self._previous, self._challenger, self._shadow)
        return None if any(before is each for each in kept) else before

    def find(self, wanted: Release) -> LoadedRelease | None:
        """The release if it is loaded here, in whichever role."""
        loaded = (self._live, self._previous, self._challenger, self._shadow)
        return next((each for each in loaded if each is not None and is_of(each, wanted)), None)

    def _stand(self) -> None:
        before, live, counted = self.beside, self._live, self._champion
        challenger = self._variant(before)
        begins = challenger is not None and (before is None or challenger is not before.challenger)
        if counted is not None and (begins or counted.release is not live):
            self._champion = None
        shadow = self._shadowing(before.shadow if before else None)
        if live is None or (self._challenger is None and shadow is None):
            self.beside = None
        else:
            champion = self._champion = self._champion or Variant("champion", live, Tally("champion", live))
            self.beside = Beside(champion, challenger, self._share, shadow)
        if before and before.shadow and before.shadow is not shadow:
            before.shadow.end()

    def _variant(self, before: Beside | None) -> Variant | None:
        """The challenger; the same as before while its release is the same, because it counts."""
        release = self._challenger
        if release is None or (before and before.challenger and before.challenger.release is release):
            return before.challenger if before and release else None
        return Variant("challenger", release, Tally("challenger", release))

    def _shadowing(self, before: Shadow | None) -> Shadow | None:
        """The shadow of this champion: with another champion it begins anew, as its pairs are others."""
        if self._shadow is None or self._live is None:
            return None
        if before and before.release is self._shadow and before.champion is self._live:
            return before
        shadow = Shadow(self._live, self._shadow)
        shadow.begin()
        return shadow


def is_of(loaded: LoadedRelease, release: Release) -> bool:
    return (loaded.version, loaded.digest) == (release.version, release.digest)
