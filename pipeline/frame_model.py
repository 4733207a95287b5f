"""How a model in MLflow answers a DataFrame; a copy of this file travels inside each MLflow model as its loader.

MLflow's own ONNX loader hands each column over as a vector, which a graph with inputs of shape (n, 1) refuses
(mlflow/mlflow#3229), cannot hand over pandas 3 text at all, and lets a missing text become the word "None".
Nothing of Gavel is imported here: the file must load where only onnxruntime and pandas are installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pandas as pd


class FrameModel:
    """An ONNX graph of named columns of shape (n, 1), called with a DataFrame."""

    def __init__(self, path: str) -> None:
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def predict(self, data: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        """One float64 column per output of the graph, on the rows of ``data``. A missing column counts as not known."""
        feed = {wanted.name: _column(data, wanted) for wanted in self.session.get_inputs()}
        names = [output.name for output in self.session.get_outputs()]
        answers = self.session.run(names, feed)
        columns = {name: np.asarray(answer).reshape(-1) for name, answer in zip(names, answers, strict=True)}
        return pd.DataFrame(columns, index=data.index)


def _column(data: pd.DataFrame, wanted: Any) -> Any:
    text = wanted.type == "tensor(string)"
    missing = "" if text else np.nan
    if wanted.name not in data:
        values = pd.Series(missing, index=data.index, dtype=object if text else np.float64)
    else:
        values = data[wanted.name]
    if text:
        return values.astype(object).where(values.notna(), missing).to_numpy(object).reshape(-1, 1)
    dtype = np.float32 if wanted.type == "tensor(float)" else np.float64
    return values.to_numpy(dtype, na_value=missing).reshape(-1, 1)


def _load_pyfunc(path: str) -> FrameModel:
    """MLflow calls this with the path of ``model.onnx``."""
    return FrameModel(path)
