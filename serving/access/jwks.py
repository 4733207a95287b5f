"""The public keys of a token issuer (JWKS, RFC 7517): fetched off the event loop and kept. No tokens here."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import math
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

import jwt

from serving.access.caller import AccessDenied

log = logging.getLogger(__name__)

ASYMMETRIC = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
TIMEOUT_SECONDS = 3.0
RENEW_SECONDS = 600.0  # so that a key which the issuer takes back is not good for ever
UNKNOWN_SECONDS = 30.0  # an unknown kid makes us look at most this often
RETRY_SECONDS = 5.0  # after a failure
MAX_BYTES = 1 << 20


class Jwks:
    """The keys behind ``url`` by their kid. While the issuer is away, the keys known so far stay good."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url, self._clock = url, clock
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._tried, self._failed = -math.inf, False
        self._fetching: asyncio.Task[None] | None = None
        self.generation = 0  # counts the fetches; what was proven by the keys of one is not by those of the next

    async def key(self, kid: str) -> jwt.PyJWK:
        """Raises ``AccessDenied``: unauthorized for a key that the issuer does not publish, or keys_unavailable."""
        self.renew()
        if kid not in self._keys:
            await self._fetch_soon(RETRY_SECONDS if self._failed else UNKNOWN_SECONDS)
        if kid in self._keys:
            return self._keys[kid]
        if self._failed:
            raise AccessDenied("keys_unavailable", "the keys of the token's issuer cannot be fetched; try again soon")
        raise AccessDenied("unauthorized", "the token is signed with a key that its issuer does not publish")

    def renew(self) -> None:
        """Start a fetch, that nobody waits for, when the keys are old."""
        age = self._clock() - self._tried
        if self._keys and age >= (RETRY_SECONDS if self._failed else RENEW_SECONDS):
            self._start()

    async def _fetch_soon(self, pause: float) -> None:
        if self._clock() - self._tried >= pause:
            self._start()
        if self._fetching is not None:
            await asyncio.wait({self._fetching})  # all who wait share one fetch; who goes away does not end it

    def _start(self) -> None:
        if self._fetching is None:
            self._tried = self._clock()
            self._fetching = asyncio.get_running_loop().create_task(self._fetch())

    async def _fetch(self) -> None:
        try:
            self._keys = await asyncio.wait_for(asyncio.to_thread(fetch_keys, self._url), TIMEOUT_SECONDS)
            self._failed = False
            self.generation += 1
        except (OSError, ValueError, http.client.HTTPException, jwt.PyJWTError, RecursionError) as error:
            if not self._failed:
                log.warning("the issuer's keys cannot be fetched", extra={"fields": {"reason": repr(error)}})
            self._failed = True
        finally:
            self._fetching = None


def fetch_keys(url: str) -> dict[str, jwt.PyJWK]:
    """Raises what a network, a server and a parser raise when there is no key set to be had."""
    document = json.loads(_get(url))
    published = document.get("keys") if isinstance(document, dict) else None
    # a symmetric key has no place in a public set: whoever reads the set could sign with it
    keys = {
        key.key_id: key
        for key in jwt.PyJWKSet(published or [])
        if key.key_id and key.algorithm_name in ASYMMETRIC and key.public_key_use in {None, "sig"}
    }
    if not keys:
        raise ValueError("the key set has no key that can be used")
    return keys


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - http or https: door.py
            body: bytes = answer.read(MAX_BYTES)
    except urllib.error.HTTPError as error:
        error.close()  # it is an open answer, too
        raise
    return body
