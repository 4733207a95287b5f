"""The settings of serving: read once from ``SERVING_*``, frozen, passed down. No other file reads the environment,

but for the ordinary ``AWS_*`` variables of a release store in S3 (``store/s3.py``).
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from serving.errors import SettingsInvalid

PREFIX = "SERVING_"


class Settings(BaseSettings):
    """All settings with their defaults; each is the environment variable ``SERVING_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    store: str = Field(default="file:.gavel/store", description="the release store: file:PATH or s3://BUCKET/PREFIX")
    model: str = Field(
        default="car_price", pattern=r"^\w[\w.-]*$", max_length=100, description="whose channel is followed"
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="the address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="the port to listen on; 0 takes a free one")
    poll_seconds: float = Field(default=1, ge=0.05, le=3600, description="seconds between two looks at the channel")
    push_token: SecretStr = Field(
        default=SecretStr(""), description="what POST /v1/reload must bring; empty: refused to all"
    )
    release_key: str = Field(
        default="", description="public keys of those who may sign releases, separated by commas; empty: not asked for"
    )
    max_rows: int = Field(default=1_000, ge=1, le=100_000, description="rows in one request")
    max_body_bytes: int = Field(default=1 << 20, ge=1_000, le=1 << 28, description="bytes in the body of one request")
    max_model_bytes: int = Field(default=256 << 20, ge=1, description="a larger model.onnx is refused")
    drain_seconds: float = Field(
        default=1, ge=0, le=300, description="seconds between SIGTERM (not ready any more) and the end"
    )
    workers: int = Field(default=1, ge=1, le=64, description="processes that answer on the one port")
    grpc_port: int | None = Field(default=None, ge=0, le=65535, description="the port of gRPC; not set: no gRPC")
    state: Path | None = Field(default=None, description="a folder for the last good release; not set: none is kept")
    auth: Literal["auto", "off", "required"] = Field(
        default="auto", description="must callers say who they are? auto: only when listening beyond loopback"
    )
    credentials: Path | None = Field(default=None, description="the file with API keys and AWS key pairs")
    aws_region: str = Field(default="us-east-1", description="the region that SigV4 signatures must name")
    aws_service: str = Field(default="execute-api", description="the service that SigV4 signatures must name")
    oidc_issuer: str = Field(default="", description="whose bearer tokens are taken; empty: nobody's")
    oidc_audience: str = Field(default="", description="the audience that bearer tokens must name")
    oidc_jwks_url: str = Field(default="", description="where the issuer's public keys are")
    oidc_roles_claim: str = Field(default="scope", description="the claim of a token that names its roles")
    tls_certificate: Path | None = Field(default=None, description="PEM file of the certificate chain")
    tls_key: Path | None = Field(default=None, description="PEM file of the certificate's private key")
    rate_limit: str = Field(default="", description="of one key or address, as 100/second; empty: no limit")
    max_waiting: int = Field(default=256, ge=1, le=100_000, description="requests under way in a worker; more get 503")
    cache: str = Field(default="", description="of answers: memory:, redis://HOST:PORT or memcached://HOST:PORT")
    cache_entries: int = Field(default=100_000, ge=1, description="rows that the cache in memory holds")
    access_log: bool = Field(default=False, description="one log line a request")


def read_settings(**given: int) -> Settings:
    """The settings of this process; what is ``given`` goes before the environment.

    Raises:
        SettingsInvalid: a value cannot be used, or a SERVING_ variable has a name that is not a setting.
    """
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0)
            raise SettingsInvalid(f"{name} is not a setting; did you mean {near[0]}?")
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = [f"{PREFIX}{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise SettingsInvalid("; ".join(problems)) from error
