"""A token issuer on this machine: a real HTTP server with a key set, and tokens signed by its keys."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER, AUDIENCE = "https://issuer.example", "gavel"


@cache
def private_key(kid):
    """RSA unless the name says otherwise."""
    if kid.startswith("ec"):
        return ec.generate_private_key(ec.SECP256R1())
    if kid.startswith("ed"):
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65_537, 1_024 if kid.startswith("short") else 2_048)


def algorithm(kid):
    return {"ec": "ES256", "ed": "EdDSA"}.get(kid[:2], "RS256")


def jwk(kid, **more):
    name = algorithm(kid)
    public = jwt.get_algorithm_by_name(name).to_jwk(private_key(kid).public_key(), as_dict=True)
    return {**public, "kid": kid, "use": "sig", "alg": name, **more}


def token(kid="one", headers=None, **claims):
    """A claim of None is left out."""
    now = time.time()
    whole = {"iss": ISSUER, "aud": AUDIENCE, "sub": "svc", "iat": now, "nbf": now - 5, "exp": now + 600}
    whole = {name: value for name, value in {**whole, "scope": "predict", **claims}.items() if value is not None}
    return jwt.encode(whole, private_key(kid), algorithm(kid), {"kid": kid, **(headers or {})})


@dataclass
class Issuer:
    """``keys`` is what it publishes, ``status`` what it answers with, ``asked`` how often it was asked."""

    url: str = ""
    keys: list = field(default_factory=list)
    status: int = 200
    delay: float = 0.0
    asked: int = 0
    body: bytes | None = None


@contextmanager
def issuing(*kids) -> Iterator[Issuer]:
    issuer = Issuer(keys=[jwk(kid) for kid in kids])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            issuer.asked += 1
            time.sleep(issuer.delay)
            body = json.dumps({"keys": issuer.keys}).encode() if issuer.body is None else issuer.body
            self.send_response(issuer.status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):  # who waited has gone
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    issuer.url = f"http://127.0.0.1:{server.server_port}/jwks"
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
