"""What the model registry is told and answers, in plain values. Not here: MLflow (``pipeline/registry.py``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd


@dataclass(frozen=True, slots=True)
class Run:
    """An MLflow run. ``started`` is in milliseconds since 1970; ``url`` is its page, empty without a server."""

    id: str
    experiment_id: str
    started: int
    url: str


@dataclass(frozen=True, slots=True)
class Version:
    """A registered model version. ``logged_model`` is MLflow's id of the model folder it was made from."""

    model: str
    number: int
    run_id: str
    logged_model: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Aliased:
    """The version that an alias names, and the one that we let it name last; None where there is none."""

    version: int | None
    ours: int | None


@dataclass(frozen=True, slots=True)
class DataUse:
    """The data a run learned from, by name and digest only. ``columns`` are (name, MLflow type) pairs."""

    name: str
    digest: str
    source: Mapping[str, Any]
    columns: Sequence[tuple[str, str]]
    profile: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """What MLflow keeps of a model. ``files`` has ``model.onnx`` and what lies beside it, by path.

    ``inputs`` are (name, MLflow type, required) and ``outputs`` names of doubles; ``loader`` is the module
    under ``code/`` by which ``mlflow.pyfunc`` loads it; ``example`` is a few rows it can be called with;
    ``sha256`` is of ``model.onnx``.
    """

    files: Mapping[str, bytes]
    inputs: Sequence[tuple[str, str, bool]]
    outputs: Sequence[str]
    example: pd.DataFrame
    requirements: Sequence[str]
    loader: str
    sha256: str
