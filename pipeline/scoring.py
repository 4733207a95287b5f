"""A bundle's ONNX model applied to a DataFrame of raw columns, in process. Not here: serving over HTTP."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime
import pandas as pd

from pipeline.contract.schema import Arrays, Schema

Floats = npt.NDArray[np.float64]

CHUNK = 20_000


class Scorer:
    """Answers of an ONNX model given as bytes. ``threads`` are onnxruntime's; the answers do not depend on them.

    Raises (also ``predict``):
        Exception: onnxruntime's own kinds, which share no base class.
    """

    def __init__(self, model: bytes, schema: Schema, threads: int = 2) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._schema = schema

    def predict(self, frame: pd.DataFrame) -> Floats:
        """float64 [n, 3]: price, low, high in the target's unit, for a frame with the schema's columns.

        A missing number is NaN, a missing text is "" or null.
        """
        chunks = [self._answer(frame.iloc[start : start + CHUNK]) for start in range(0, len(frame), CHUNK)]
        return np.concatenate(chunks) if chunks else np.empty((0, len(self._schema.outputs)))

    def run(self, inputs: Arrays) -> Floats:
        """float64 [n, 3] for the graph's own inputs: arrays [n, 1] as ``Schema.arrays`` gives them."""
        return np.hstack(self._session.run(list(self._schema.outputs), inputs))

    def _answer(self, frame: pd.DataFrame) -> Floats:
        return self.run(arrays(frame, self._schema))


def arrays(frame: pd.DataFrame, schema: Schema) -> Arrays:
    """One array [n, 1] for each input: float64 with NaN, or object of str with ""; as ``Schema.arrays`` gives them."""
    return {
        column.name: _numbers(frame[column.name]) if column.kind == "numeric" else _texts(frame[column.name])
        for column in schema.inputs
    }


def _numbers(values: pd.Series) -> Floats:
    return values.to_numpy(np.float64, na_value=np.nan).reshape(-1, 1)


def _texts(values: pd.Series) -> npt.NDArray[np.object_]:
    return values.astype(object).where(values.notna(), "").to_numpy(object).reshape(-1, 1)
