"""serving/access/jwks.py, against a real HTTP server"""

import asyncio
import logging
import time

import pytest

from serving.access import jwks
from serving.access.caller import AccessDenied
from serving.access.jwks import Jwks
from tests.serving.access.issuer import issuing, jwk


@pytest.fixture
def issuer():
    with issuing("one") as made:
        yield made


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


async def code(keys, kid):
    """``ok``, or the code of the refusal."""
    try:
        found = await keys.key(kid)
    except AccessDenied as denied:
        return denied.code
    assert found.key_id == kid
    return "ok"


async def settled(keys):
    await asyncio.wait({keys._fetching})


def test_keys_are_fetched_once_for_all_who_wait(issuer):
    """A burst at the start is one request to the issuer."""

    async def scenario():
        keys = Jwks(issuer.url)
        assert await asyncio.gather(*(code(keys, "one") for _ in range(50))) == ["ok"] * 50

    asyncio.run(scenario())
    assert issuer.asked == 1


def test_an_unknown_key_makes_us_look_every_30_seconds_at_most(issuer):
    """Tokens with made-up key names cannot make us storm the issuer."""

    async def scenario():
        clock = Clock()
        keys = Jwks(issuer.url, clock)
        assert [await code(keys, f"made-up-{i}") for i in range(100)] == ["unauthorized"] * 100
        assert issuer.asked == 1
        issuer.keys.append(jwk("two"))
        clock.now += 29
        assert await code(keys, "two") == "unauthorized"
        clock.now += 1
        assert (await code(keys, "two"), await code(keys, "one")) == ("ok", "ok")
        assert issuer.asked == 2

    asyncio.run(scenario())


def test_known_keys_stay_good_while_the_issuer_is_away(issuer, caplog):
    """Others cannot be judged: 503, not 401. One line in the log."""

    async def scenario():
        clock = Clock()
        keys = Jwks(issuer.url, clock)
        assert await code(keys, "one") == "ok"
        issuer.status = 500
        for _ in range(5):
            clock.now += 10_000
            assert (await code(keys, "one"), await code(keys, "two")) == ("ok", "keys_unavailable")
        issuer.status = 200
        issuer.keys.append(jwk("two"))
        clock.now += 5
        assert await code(keys, "two") == "ok"

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert len(caplog.records) == 1


def test_a_key_that_the_issuer_took_back_is_not_good_for_ever(issuer):
    """The set is fetched again by and by, and whoever asks meanwhile does not wait."""

    async def scenario():
        clock = Clock()
        keys = Jwks(issuer.url, clock)
        assert await code(keys, "one") == "ok"
        issuer.keys[:] = [jwk("two")]
        issuer.delay = 0.2
        clock.now += 600
        began = time.monotonic()
        assert await code(keys, "one") == "ok"
        assert time.monotonic() - began < 0.1
        await settled(keys)
        assert await code(keys, "one") == "unauthorized"
        assert await code(keys, "two") == "ok"

    asyncio.run(scenario())


def test_a_slow_issuer_does_not_hold_the_event_loop(issuer, monkeypatch):
    """Other requests go on while keys are fetched, and the wait ends."""
    monkeypatch.setattr(jwks, "TIMEOUT_SECONDS", 0.3)
    issuer.delay = 1.0

    async def scenario():
        asked = asyncio.create_task(code(Jwks(issuer.url), "one"))
        ticks, began = 0, time.monotonic()
        while not asked.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert asked.result() == "keys_unavailable"
        assert time.monotonic() - began < 0.9
        assert ticks > 10

    asyncio.run(scenario())


BODIES = [b"", b"{", b"[]", b"{}", b'{"keys": {}}', b'{"keys": [1]}', b'{"keys": [{"kty": "RSA"}]}', b"[" * 100_000]


@pytest.mark.parametrize("body", [*BODIES, b" " * 2_000_000 + b"{}"])
def test_a_broken_key_set_is_as_good_as_none(issuer, body):
    """No error of ours, and the keys known so far stay."""

    async def scenario():
        clock = Clock()
        keys = Jwks(issuer.url, clock)
        assert await code(keys, "one") == "ok"
        issuer.body = body
        clock.now += 600
        assert await code(keys, "two") == "keys_unavailable"
        assert await code(keys, "one") == "ok"

    asyncio.run(scenario())


def test_keys_that_are_no_public_signing_keys_are_left_out(issuer):
    """A symmetric key in a public set, a key for encryption, a key without a name."""
    secret = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "alg": "HS256", "kid": "oct"}
    nameless = {name: value for name, value in jwk("two").items() if name != "kid"}
    issuer.keys += [secret, jwk("three", use="enc"), nameless]
    assert list(jwks.fetch_keys(issuer.url)) == ["one"]


def test_nobody_at_the_address_is_503():
    """And it is said at once."""
    assert asyncio.run(code(Jwks("http://127.0.0.1:9/jwks"), "one")) == "keys_unavailable"
