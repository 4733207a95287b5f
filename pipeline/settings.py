"""The settings of the pipeline: read once from ``GAVEL_*``, frozen, passed down. No other file reads them."""

from __future__ import annotations

import difflib
import os
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from pipeline.addresses import check
from pipeline.errors import SettingsInvalid

PREFIX = "GAVEL_"


class Settings(BaseSettings):
    """All settings with their defaults; each is the environment variable ``GAVEL_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    dataset: str = Field("car_auctions", description="the dataset file under pipeline/datasets")
    source: str = Field("simulated:", description="simulated:, folder:PATH, s3://bucket/prefix or https://...{day}...")
    store: str = Field("file:.gavel/store", description="where partitions, work and releases lie: file:PATH or s3://")
    keep_days: int = Field(30, ge=0, le=36500, description="days that the work of a run is kept; 0: for ever")
    window_days: int = Field(60, ge=3, le=3660, description="calendar days that a model learns from")
    with_baseline: bool = Field(True, description="use the dataset's baseline column as a feature")
    seed: int = Field(7, ge=0, description="seed of everything random")
    gate_margin: float = Field(0.05, ge=0, le=1, description="how much worse than the champion is still allowed")
    gate_mode: Literal["enforce", "dry-run", "off"] = Field(
        "enforce", description="enforce: a refused model stays out; dry-run: that is only told; off: parity alone"
    )
    signing_key: str = Field(
        "", description="file of the key that releases are signed with; empty: they are not signed"
    )
    approval: bool = Field(False, description="a person must agree before the daily run makes a version live")
    mlflow_uri: str = Field("http://127.0.0.1:5000", description="the MLflow tracking server")
    mlflow_pages: str = Field("", description="its address for people's browsers; empty: the same")
    serving_urls: tuple[Annotated[str, AfterValidator(check)], ...] = Field(
        ("http://127.0.0.1:8000",),
        description="every serving replica (JSON list); dns+http://NAME:PORT is each address that NAME has now",
    )
    push_token: SecretStr = Field(SecretStr(""), description="what a push to serving is authenticated with")
    deploy_timeout: float = Field(60, gt=0, description="seconds to wait until every replica serves the release")


def read_settings(**given: Any) -> Settings:
    """The settings of this process; those ``given`` take the place of the environment's.

    Raises:
        SettingsInvalid: a value cannot be used, or a GAVEL_ variable has a name that is not a setting.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(set(filter(lambda name: name.startswith(PREFIX), os.environ)) - known):
        near = difflib.get_close_matches(name, known, n=1)
        raise SettingsInvalid(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = "; ".join(f"{PREFIX}{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise SettingsInvalid(problems) from error
    except SettingsError as error:
        example = f"{PREFIX}SERVING_URLS='[\"http://127.0.0.1:8000\"]'"
        raise SettingsInvalid(f"a list is written as JSON, such as {example}: {error}") from error
