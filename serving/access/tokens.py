"""OAuth2 / OIDC bearer tokens (JWT, RFC 7519) checked against an issuer's keys; ``jwks.py`` fetches those."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import jwt

from serving.access.caller import AccessDenied, Caller, Role
from serving.access.jwks import Jwks

LEEWAY_SECONDS = 30
MAX_CHARACTERS = 8_192
MAX_PROVEN = 1_024
REQUIRED = ("iss", "aud", "exp", "sub")  # nbf is obeyed when there; many issuers do not write it
# errors that PyJWT lets through on tokens which nobody honest would send
ODD = (ValueError, TypeError, OverflowError, RecursionError)


class TokenVerifier:
    """Tokens of one issuer for one audience. A proven token is remembered, since proving takes some 60 µs."""

    def __init__(self, issuer: str, audience: str, roles_claim: str, keys: Jwks) -> None:
        self._issuer, self._audience, self._claim, self._keys = issuer, audience, roles_claim, keys
        self._proven: dict[bytes, tuple[Caller, int]] = {}
        self._generation = 0

    async def verify(self, token: str, digest: bytes) -> Caller:
        """``digest`` is the SHA-256 of ``token``. Raises ``AccessDenied``."""
        self._keys.renew()
        known = self._remembered().get(digest)
        if known is not None and time.time() < known[1]:
            return known[0]
        claims = await self._claims(token)
        caller = Caller(str(claims["sub"]), self._role(claims))
        self._remembered()[digest] = caller, int(claims["exp"])
        return caller

    def _remembered(self) -> dict[bytes, tuple[Caller, int]]:
        """Tokens proven by the keys of now, with the Unix second of their end."""
        if self._generation != self._keys.generation or len(self._proven) >= MAX_PROVEN:
            self._proven, self._generation = {}, self._keys.generation
        return self._proven

    async def _claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > MAX_CHARACTERS:
            raise AccessDenied("unauthorized", "the bearer token is too long")
        try:
            key = await self._keys.key(str(jwt.get_unverified_header(token).get("kid")))
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],  # the key's own, whatever the token says
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": list(REQUIRED), "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, *ODD) as error:
            raise AccessDenied("unauthorized", f"the bearer token is not accepted: {_reason(error)}") from None
        return claims

    def _role(self, claims: Mapping[str, Any]) -> Role:
        value = claims.get(self._claim, ())
        roles = value.split() if isinstance(value, str) else value if isinstance(value, list) else ()
        if "admin" in roles or "gavel:admin" in roles:
            return "admin"
        if "predict" in roles or "gavel:predict" in roles:
            return "predict"
        raise AccessDenied("forbidden", f"the token's claim {self._claim!r} names neither 'predict' nor 'admin'")


def _reason(error: Exception) -> str:
    """In our words: PyJWT's may repeat what the token says."""
    reasons: Mapping[type[Exception], str] = {
        jwt.ExpiredSignatureError: "it has expired",
        jwt.ImmatureSignatureError: "it is not good yet",
        jwt.InvalidAudienceError: "it is for another audience",
        jwt.InvalidIssuerError: "it is from another issuer",
        jwt.MissingRequiredClaimError: f"it needs the claims {', '.join(REQUIRED)}",
        jwt.InvalidAlgorithmError: "its algorithm is not that of the issuer's key",
    }
    return next((text for kind, text in reasons.items() if isinstance(error, kind)), "it is not a token of the issuer")
