"""What can go wrong in serving, in words of the problem. These errors know neither HTTP nor onnxruntime."""

from __future__ import annotations

import math
from collections.abc import Iterable


class ServingError(Exception):
    """Any error whose message is meant for whoever runs or calls the serving process."""


class SettingsInvalid(ServingError):
    """A setting has a value that cannot be used."""


class StoreUnavailable(ServingError):
    """The release store could not be read, or does not hold yet what it ought to; look again later."""


class ReleaseMissing(StoreUnavailable):
    """The release, or a part of it, is not in the release store."""


class TrialUnavailable(StoreUnavailable):
    """The trial process gave no verdict on a release; look again later."""


class ReleaseRefused(ServingError):
    """The release must not answer; the message says which check failed."""


class Unanswered(ServingError):
    """A request gets no answer but the message; ``code`` is stable and part of the interface.

    ``retry_after`` are whole seconds after which the same request may be answered.
    """

    code: str
    retry_after: int | None = None


class NotReady(Unanswered):
    """This process cannot answer now; the message says why."""

    code, retry_after = "not_ready", 1


class NoRelease(NotReady):
    """No release has gone live here yet."""

    code = "no_release"


class RequestRefused(Unanswered):
    """The request cannot be answered as it is."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class OtherVersion(RequestRefused):
    """The request names a version that does not answer it."""

    def __init__(self, message: str) -> None:
        super().__init__("not_found", message)


class MethodNotAllowed(RequestRefused):
    """The address takes other methods than this one."""

    def __init__(self, methods: Iterable[str]) -> None:
        self.allowed = ", ".join(sorted(methods))
        super().__init__("method_not_allowed", f"this address takes {self.allowed}")


class Overloaded(Unanswered):
    """Too many requests are under way in this process; try again in a moment."""

    code, retry_after = "overloaded", 1


class Unavailable(Unanswered):
    """Something that this needs does not answer now; the message says what."""

    code, retry_after = "unavailable", 5


class Throttled(Unanswered):
    """This caller asks too often; it may come again in some ``seconds``."""

    code = "throttled"

    def __init__(self, seconds: float) -> None:
        self.retry_after = math.ceil(seconds)
        super().__init__(f"you ask more often than is allowed here; try again in {self.retry_after} s")
