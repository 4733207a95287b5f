"""The model as every peer holds it: a session with one thread, rows to arrays, arrays to rows. No more than that."""

import os

import numpy as np
import onnxruntime

OUTPUTS = ["price", "low", "high"]

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"])
NUMERIC = {wanted.name: wanted.type == "tensor(double)" for wanted in session.get_inputs()}


def array(name, values):  # noqa: ANN001, ANN201
    """The values of one column, None for "not known", as the graph takes them."""
    if NUMERIC[name]:
        return np.array(values, dtype=np.float64).reshape(-1, 1)
    return np.array(["" if value is None else value for value in values], dtype=object).reshape(-1, 1)


def predict(rows):  # noqa: ANN001, ANN201
    """Dicts of columns to dicts of answers."""
    feed = {name: array(name, [row[name] for row in rows]) for name in NUMERIC}
    answers = [values.ravel().tolist() for values in session.run(OUTPUTS, feed)]
    return [dict(zip(OUTPUTS, row, strict=True)) for row in zip(*answers, strict=True)]
