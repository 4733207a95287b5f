"""Callers, their roles and their refusal. How a caller proves who they are is in the files beside this one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from serving.errors import RequestRefused

Role: TypeAlias = Literal["predict", "admin"]
HEADERS: Mapping[str, Mapping[str, str]] = {
    "unauthorized": {"www-authenticate": "Bearer"},
    "keys_unavailable": {"retry-after": "5"},
}


class AccessDenied(RequestRefused):
    """The caller may not do this. ``code`` is one of:

    unauthorized (401: no credential, or one that is not accepted), forbidden (403: the role is too small),
    push_disabled (403: nobody is an admin here), keys_unavailable (503: the token cannot be checked now).
    """

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that the answer must have."""
        return HEADERS.get(self.code, {})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. ``body_sha256`` is what a signed request says of its body: check it by ``accept_body``."""

    name: str
    role: Role
    body_sha256: str | None = None

    def may(self, role: Role) -> bool:
        return self.role in {role, "admin"}

    def accept_body(self, body: bytes) -> None:
        """Raises ``AccessDenied`` when the body is not the one that was signed; call it before the body is used."""
        if self.body_sha256 is not None and hashlib.sha256(body).hexdigest() != self.body_sha256:
            raise AccessDenied("unauthorized", "the body is not the one that x-amz-content-sha256 names")


# Whoever comes where nobody is asked who they are. Its name is empty, so that it is throttled by its address.
ANONYMOUS = Caller("", "predict")
