"""Which address asks for which role: the one table. ``docs/authorisation.md`` shows the same one to people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from serving.access.caller import Role

GRPC = "/inference.GRPCInferenceService"

# None: open to everybody, always. What is not here asks for the role "predict".
POLICY: Mapping[str, Role | None] = {
    "/livez": None,
    "/readyz": None,
    "/ping": None,
    "/v2/health/live": None,
    "/v2/health/ready": None,
    "/v2/models/{model}/ready": None,
    "/v2/models/{model}/versions/{version}/ready": None,
    f"{GRPC}/ServerLive": None,
    f"{GRPC}/ServerReady": None,
    f"{GRPC}/ModelReady": None,
    "/grpc.health.v1.Health/Check": None,
    "/v1/reload": "admin",
    "/v1/trial": "admin",
    "/v1/variants": "admin",
    "/v1/pairs": "admin",
}
OTHERWISE: Role = "predict"

_EXACT = {path: role for path, role in POLICY.items() if "{" not in path}
_PATTERNS = [(re.compile(re.sub(r"{\w+}", "[^/]+", path)), role) for path, role in POLICY.items() if "{" in path]


def role_for(method: str, path: str) -> Role | None:
    """The role that a request needs; ``None`` where nobody is asked. ``path`` is decoded, as routers match it."""
    del method  # an address asks for the same role by every method, so that none is forgotten
    return _role_at(path)


@lru_cache(maxsize=256)
def _role_at(path: str) -> Role | None:
    place = path.removesuffix("\n")  # Starlette's routes end with "$", which also matches before a last line break
    if place in _EXACT:
        return _EXACT[place]
    return next((role for pattern, role in _PATTERNS if pattern.fullmatch(place)), OTHERWISE)
