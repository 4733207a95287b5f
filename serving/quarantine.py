"""How long a refused release is left alone before it is tried again. Who refuses, and why, is not known here."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.contract.channel import Release

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 30.0, 3600.0


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A refused release as the channel of ``generation`` named it; it is tried again at ``until`` (monotonic)."""

    release: Release
    generation: int
    until: float
    seconds: float

    @classmethod
    def after(cls, known: Quarantine | None, release: Release, generation: int, now: float) -> Quarantine:
        """That of a release refused just now: twice as long as the last one of the same."""
        again = known is not None and (known.release, known.generation) == (release, generation)
        seconds = min(2 * known.seconds, LAST_RETRY_SECONDS) if known and again else FIRST_RETRY_SECONDS
        return cls(release, generation, now + seconds, seconds)

    def holds(self, release: Release, generation: int, now: float) -> bool:
        """Is this release to be left alone? A new generation is somebody's new wish."""
        return (self.release, self.generation) == (release, generation) and now < self.until
