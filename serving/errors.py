"""What can go wrong in serving, in words of the problem. These errors know neither HTTP nor onnxruntime."""


class ServingError(Exception):
    """Any error whose message is meant for whoever runs or calls the serving process."""


class SettingsInvalid(ServingError):
    """A setting has a value that cannot be used."""


class StoreUnavailable(ServingError):
    """The release store could not be read, or does not hold yet what it ought to; look again later."""


class ReleaseRefused(ServingError):
    """The release must not answer; the message says which check failed."""


class NotReady(ServingError):
    """This process cannot answer now; the message says why."""


class NoRelease(NotReady):
    """No release has gone live here yet."""


class RequestRefused(ServingError):
    """The request cannot be answered as it is; ``code`` is stable and part of the interface."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)
