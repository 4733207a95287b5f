"""Access: who calls, and whether they may. It reads the head of a request, never its body, and answers nothing."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from starlette.types import Scope

from serving.access import sigv4
from serving.access.caller import ANONYMOUS, AccessDenied, Caller, Role
from serving.access.credentials import CredentialsInvalid, Known
from serving.access.credentials_file import CredentialsFile
from serving.access.jwks import Jwks
from serving.access.policy import role_for
from serving.access.tokens import TokenVerifier
from serving.errors import SettingsInvalid
from serving.settings import Settings

log = logging.getLogger(__name__)

HOW = "send the header 'x-api-key: KEY' or 'Authorization: Bearer KEY'"
MAKE = "make a key (python -m serving.keys add FILE --name NAME --role predict) and set SERVING_CREDENTIALS=FILE"


@dataclass(frozen=True, slots=True)
class Access:
    """The one place that decides who may do what. Built by ``open_access``."""

    required: bool
    file: CredentialsFile
    tokens: TokenVerifier | None
    aws_region: str
    aws_service: str

    async def identify(self, scope: Scope) -> Caller:
        """Who sends this HTTP request. Reads its method, path, query and headers.

        Raises:
            AccessDenied: they are not known, or may not use this address.
        """
        role = role_for(scope["method"], scope["path"])
        if role is None or (role == "predict" and not self.required):
            return ANONYMOUS
        return await self._identify(role, scope["headers"], scope)

    async def identify_metadata(self, path: str, metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
        """Who makes this gRPC call to ``/package.Service/Method``: API keys and bearer tokens, no signatures.

        Raises:
            AccessDenied: as ``identify``.
        """
        role = role_for("POST", path)
        if role is None or (role == "predict" and not self.required):
            return ANONYMOUS
        headers = [(k.encode(), v if isinstance(v, bytes) else v.encode()) for k, v in metadata]
        return await self._identify(role, headers, None)

    async def _identify(self, role: Role, headers: Iterable[tuple[bytes, bytes]], scope: Scope | None) -> Caller:
        key = authorization = b""
        for name, value in headers:
            if name == b"authorization":
                authorization = value
            elif name == b"x-api-key":
                key = value
        if role == "admin" and self.tokens is None and not self.file.current().has_admin:
            raise AccessDenied(
                "push_disabled", "nobody is an admin of this process; the channel is followed by polling"
            )
        caller = await self._caller(key, authorization, scope)
        if not caller.may(role):
            raise AccessDenied("forbidden", f"this address needs the role {role}; yours is {caller.role}")
        return caller

    async def _caller(self, key: bytes, authorization: bytes, scope: Scope | None) -> Caller:
        if not key and authorization[:7].lower() == b"bearer ":
            key = authorization[7:].strip()
        if not key:
            return self._signer(authorization, scope)
        digest = hashlib.sha256(key).digest()
        # a plain lookup gives nothing away by its time: nobody can choose where the SHA-256 of a guess falls
        known = self.file.current().keys.get(digest)
        if known is not None:
            return _good(known)
        if self.tokens is not None and key.count(b".") == 2:  # noqa: PLR2004 - the three parts of a JWT
            return await self.tokens.verify(key.decode("latin-1"), digest)
        raise AccessDenied("unauthorized", "this key is not known here")

    def _signer(self, authorization: bytes, scope: Scope | None) -> Caller:
        if scope is None or not authorization.startswith(sigv4.SCHEME):
            raise AccessDenied("unauthorized", HOW)
        signed = sigv4.read_authorization(authorization)
        known = self.file.current().aws.get(signed.access_key_id)
        if known is None:
            raise AccessDenied("unauthorized", "this AWS access key id is not known here")
        body = sigv4.verify(signed, scope, known.secret, self.aws_region, self.aws_service, time.time())
        return replace(_good(known), body_sha256=body)


def _good(known: Known) -> Caller:
    if known.not_after is not None and time.time() > known.not_after:
        raise AccessDenied("unauthorized", "this key has expired")
    return known.caller


def open_access(settings: Settings) -> Access:
    """Raises ``SettingsInvalid`` when the settings contradict each other or nobody could ever come in."""
    required = settings.auth == "required" or (settings.auth == "auto" and not is_loopback(settings.host))
    push_token = settings.push_token.get_secret_value()
    if required and not (settings.credentials or settings.oidc_issuer or push_token):
        raise SettingsInvalid(
            f"callers must say who they are on {settings.host}, but no credentials are configured; {MAKE},"
            " or listen on 127.0.0.1, or set SERVING_AUTH=off"
        )
    if not required and not is_loopback(settings.host):
        log.warning("everybody who reaches this address may predict", extra={"fields": {"host": settings.host}})
    try:
        file = CredentialsFile(settings.credentials, push_token)
    except CredentialsInvalid as error:
        raise SettingsInvalid(f"SERVING_CREDENTIALS: {error}; {MAKE}") from error
    return Access(required, file, _tokens(settings), settings.aws_region, settings.aws_service)


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _tokens(settings: Settings) -> TokenVerifier | None:
    given = {name: getattr(settings, name) for name in ("oidc_issuer", "oidc_audience", "oidc_jwks_url")}
    if not any(given.values()):
        return None
    missing = [f"SERVING_{name.upper()}" for name, value in given.items() if not value]
    if missing:
        raise SettingsInvalid(f"bearer tokens need all three of issuer, audience and key set; set {', '.join(missing)}")
    if not settings.oidc_jwks_url.startswith(("https://", "http://")):
        raise SettingsInvalid("SERVING_OIDC_JWKS_URL must begin with https://")
    return TokenVerifier(
        settings.oidc_issuer, settings.oidc_audience, settings.oidc_roles_claim, Jwks(settings.oidc_jwks_url)
    )
