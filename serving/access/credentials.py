"""API keys and AWS key pairs, and the JSON file they are in. Of API keys only the SHA-256 is known. No HTTP here."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from serving.access.caller import Caller, Role
from serving.errors import ServingError

Name = Annotated[str, msgspec.Meta(pattern=r"^[\w][\w.@-]{0,99}\Z")]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class CredentialsInvalid(ServingError):
    """The credentials file cannot be used; the message says why."""


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One API key: the hex SHA-256 of it, and until when it is good."""

    name: Name
    role: Role
    sha256: Sha256
    not_after: Moment | None = None


class AwsKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One AWS key pair. Its secret cannot be hashed: a signature is checked by making it again."""

    name: Name
    role: Role
    access_key_id: Annotated[str, msgspec.Meta(pattern=r"^\w{4,128}\Z")]
    secret_access_key: Annotated[str, msgspec.Meta(min_length=8)]
    not_after: Moment | None = None

    def __repr__(self) -> str:
        return f"AwsKey({self.name!r})"


class CredentialsDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The credentials file as it is written."""

    keys: tuple[ApiKey, ...] = ()
    aws: tuple[AwsKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What a credential gives: who it is, and until when (Unix seconds)."""

    caller: Caller
    not_after: float | None = None
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Ready to be looked up: API keys by their SHA-256, AWS key pairs by their id."""

    keys: Mapping[bytes, Known]
    aws: Mapping[str, Known]

    @property
    def has_admin(self) -> bool:
        return any(known.caller.role == "admin" for known in (*self.keys.values(), *self.aws.values()))

    def with_key(self, name: str, role: Role, key: str) -> Credentials:
        digest = hashlib.sha256(key.encode()).digest()
        return Credentials({**self.keys, digest: Known(Caller(name, role))}, self.aws)


NONE = Credentials({}, {})


def parse(data: bytes) -> CredentialsDocument:
    """Raises ``CredentialsInvalid``; its message never repeats a value of the file."""
    try:
        document = msgspec.json.decode(data, type=CredentialsDocument)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CredentialsInvalid(str(error)) from None
    _unique("name", [*(key.name for key in document.keys), *(pair.name for pair in document.aws)])
    _unique("sha256", (key.sha256 for key in document.keys))
    _unique("access_key_id", (pair.access_key_id for pair in document.aws))
    return document


def index(document: CredentialsDocument) -> Credentials:
    keys = {bytes.fromhex(key.sha256): Known(Caller(key.name, key.role), _unix(key.not_after)) for key in document.keys}
    aws = {
        pair.access_key_id: Known(Caller(pair.name, pair.role), _unix(pair.not_after), pair.secret_access_key)
        for pair in document.aws
    }
    return Credentials(keys, aws)


def _unix(moment: datetime | None) -> float | None:
    # arithmetic, since timestamp() fails in the first and last hours that a datetime knows
    return None if moment is None else (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()


def _unique(what: str, values: Iterable[str]) -> None:
    value, count = next(iter(Counter(values).most_common(1)), ("", 0))
    if count > 1:
        raise CredentialsInvalid(f"two entries have the same {what}" + (f": {value}" if what == "name" else ""))
