"""Whether the ONNX graph answers as the sklearn Pipeline does, row by row. Not here: which rows are worth asking.

A difference is relative, |pipeline - onnx| / |onnx|. NaN on both sides is no difference; NaN on one side only is
an infinite one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.contract.schema import Schema
from pipeline.errors import ModelRefused

Floats = npt.NDArray[np.float64]

LIMIT = 1e-6
SHOWN = 5
LONGEST = 60
LEAST = 1e-9  # of a unit of the target: below it answers count as nought, not as something to divide by


@dataclass(frozen=True, slots=True)
class Worst:
    """A row where the two differ: its position, and what each answers (price, low, high)."""

    row: int
    difference: float
    pipeline: tuple[float, ...]
    onnx: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Parity:
    """The largest relative difference over ``rows`` rows; ``worst`` are the rows with the largest, worst first."""

    rows: int
    max_relative_difference: float
    worst: tuple[Worst, ...] = ()


def compare(pipeline: Floats, onnx: Floats) -> Parity:
    """Compare answers of shape (n, outputs)."""
    if pipeline.shape != onnx.shape:
        raise ModelRefused(f"the pipeline answers with shape {pipeline.shape}, the ONNX graph with {onnx.shape}")
    differences = relative_differences(pipeline, onnx).max(axis=1, initial=0.0)
    order = np.argsort(-differences, kind="stable")[:SHOWN]
    worst = [
        Worst(int(i), float(differences[i]), tuple(pipeline[i].tolist()), tuple(onnx[i].tolist()))
        for i in order
        if differences[i] > 0
    ]
    return Parity(len(pipeline), float(differences.max(initial=0.0)), tuple(worst))


def relative_differences(pipeline: Floats, onnx: Floats) -> Floats:
    """|pipeline - onnx| / |onnx|, element by element."""
    same = (pipeline == onnx) | (np.isnan(pipeline) & np.isnan(onnx))
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.abs(pipeline - onnx) / np.maximum(np.abs(onnx), LEAST)
    return np.where(same, 0.0, np.where(np.isnan(differences), np.inf, differences))


def check(schema: Schema, frame: pd.DataFrame, pipeline: Floats, onnx: Floats, limit: float = LIMIT) -> Parity:
    """The comparison on the rows of ``frame``, if it is good enough.

    Raises:
        ModelRefused: a row differs by more than ``limit``; the message shows the worst rows and both answers.
    """
    parity = compare(pipeline, onnx)
    if parity.max_relative_difference > limit:
        rows = "\n".join(_describe(schema, frame, worst) for worst in parity.worst)
        raise ModelRefused(
            f"the ONNX graph does not answer as the pipeline does: relative difference "
            f"{parity.max_relative_difference:.2g} on {parity.rows} rows, allowed is {limit:g}. The worst rows:\n{rows}"
        )
    return parity


def _describe(schema: Schema, frame: pd.DataFrame, worst: Worst) -> str:
    row = frame.iloc[worst.row]
    values = ", ".join(f"{column.name}={_short(row[column.name])}" for column in schema.inputs)
    pipeline, onnx = (_answers(schema, answers) for answers in (worst.pipeline, worst.onnx))
    return f"  row {worst.row} ({values}): pipeline {pipeline}; ONNX {onnx}; difference {worst.difference:.2g}"


def _answers(schema: Schema, answers: tuple[float, ...]) -> str:
    return ", ".join(f"{name} {value:.10g}" for name, value in zip(schema.outputs, answers, strict=True))


def _short(value: object) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text) - 2} characters)"
