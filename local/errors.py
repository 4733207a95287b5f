"""The one error of this package. Not here: the pipeline's own errors."""


class CannotRun(Exception):
    """Something about this machine or a service is in the way; the message is one sentence that says what to do."""
