"""Who answers a request while a challenger or a shadow stands beside the champion. The choice is sticky.

Not here: how they are loaded (``companions.py``), who asks (``doors/door.py``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from serving.errors import RequestRefused
from serving.release import LoadedRelease
from serving.shadow import Shadow
from serving.tally import Tally

# A client that sends the same value gets the same variant, as long as it is the same challenger.
STICKY = b"x-gavel-sticky"
# In an answer: who has answered. In a request: who shall answer, whatever the share.
VARIANT = b"x-model-variant"
Role = Literal["champion", "challenger"]


@dataclass(frozen=True, slots=True)
class Variant:
    """A release that answers requests, and what is counted of it. Its ``role`` is what clients are told."""

    role: Role
    release: LoadedRelease
    tally: Tally


@dataclass(frozen=True, slots=True)
class Beside:
    """The champion, and at least one of the others. Replaced whole, so a request sees one state of it."""

    champion: Variant
    challenger: Variant | None
    share: float
    shadow: Shadow | None

    def choose(self, headers: Mapping[bytes, bytes], caller: str, body: bytes) -> Variant:
        """Who answers: the challenger gets its share of all callers. Raises ``RequestRefused``."""
        challenger, asked = self.challenger, headers.get(VARIANT)
        if asked is not None:
            return self._asked(asked)
        if challenger is None:
            return self.champion
        key = headers.get(STICKY) or caller.encode() or hashlib.sha256(body).digest()
        return challenger if fraction(key, challenger.release.digest) < self.share else self.champion

    def _asked(self, role: bytes) -> Variant:
        if role == b"challenger" and self.challenger is not None:
            return self.challenger
        if role != b"champion":
            raise RequestRefused("bad_request", "x-model-variant must be champion, or challenger while there is one")
        return self.champion

    def other(self, variant: Variant) -> Variant | None:
        return self.challenger if variant is self.champion else self.champion


def fraction(key: bytes, digest: str) -> float:
    """Where a key falls between 0 and 1 for the challenger of this digest: evenly, and for each challenger anew."""
    return int.from_bytes(hashlib.sha256(key + digest.encode()).digest()[:6], "big") / (1 << 48)
