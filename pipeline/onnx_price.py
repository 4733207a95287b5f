"""The fitted price model as ONNX nodes: one double matrix to price, low and high.

Not here: the same in Python (``pipeline/model.py``); how a tree is written (``pipeline/tree_ensemble.py``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor, VotingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from pipeline import tree_ensemble
from pipeline.errors import ModelRefused
from pipeline.model import IntervalRegressor
from pipeline.onnx_graph import ML, GraphWriter


def write_price(graph: GraphWriter, matrix: str, model: IntervalRegressor, outputs: tuple[str, str, str]) -> None:
    """The nodes from ``matrix``, double [n, features], to the three ``outputs``, double [n, 1] each.

    Raises:
        ModelRefused: one of the three regressors cannot be written exactly.
    """
    models = (model.point_, model.lower_, model.upper_)
    answers = graph.concat([_regressor(graph, matrix, regressor) for regressor in models])
    below, above = model.offsets_
    answers = graph.node("Add", answers, graph.constant(np.array([0.0, -below, above], np.float64)))
    if model.baseline_index is not None:
        baseline = graph.node("Gather", matrix, graph.constant(np.array([model.baseline_index], np.int64)), axis=1)
        answers = graph.node("Mul", answers, graph.node("Exp", baseline) if model.log_baseline else baseline)
    answers = graph.node("Max", answers, graph.constant(np.float64(model.minimum)))
    price, low, high = outputs
    lower, upper = graph.name("lower"), graph.name("upper")
    graph.write("Split", (answers,), (price, lower, upper), axis=1, num_outputs=3)
    graph.write("Min", (lower, price), (low,))
    graph.write("Max", (upper, price), (high,))


def _regressor(graph: GraphWriter, matrix: str, model: Any) -> str:
    """The raw prediction, double [n, 1]."""
    if isinstance(model, Pipeline):
        for _, step in model.steps:
            matrix = _regressor(graph, matrix, step)
        return matrix
    try:
        write = _WRITERS[type(model)]
    except KeyError:
        known = ", ".join(sorted(kind.__name__ for kind in _WRITERS))
        raise ModelRefused(f"there is no exact conversion of {type(model).__name__}; there is of {known}") from None
    return write(graph, matrix, model)


def write_trees(graph: GraphWriter, matrix: str, model: HistGradientBoostingRegressor | VotingRegressor) -> str:
    """One node for each model: with a single target onnxruntime adds up leaves faster than with several."""
    members = tree_ensemble.members(model)
    if not members:
        raise ModelRefused("there is an exact conversion only of plain means of HistGradientBoostingRegressor")
    return graph.node("TreeEnsemble", matrix, domain=ML, **tree_ensemble.attributes(members))


def _impute(graph: GraphWriter, matrix: str, model: SimpleImputer) -> str:
    if model.add_indicator or np.isnan(model.statistics_).any():
        raise ModelRefused("SimpleImputer: only without indicator and with a known value in every column")
    if not (isinstance(model.missing_values, float) and np.isnan(model.missing_values)):
        raise ModelRefused("SimpleImputer: only missing_values=nan")
    values = graph.constant(model.statistics_.astype(np.float64))
    return graph.node("Where", graph.node("IsNaN", matrix), values, matrix)


def _scale(graph: GraphWriter, matrix: str, model: StandardScaler) -> str:
    if model.mean_ is not None and model.with_mean:
        matrix = graph.node("Sub", matrix, graph.constant(model.mean_))
    if model.scale_ is not None:
        matrix = graph.node("Div", matrix, graph.constant(model.scale_))
    return matrix


def _linear(graph: GraphWriter, matrix: str, model: LinearRegression | Ridge) -> str:
    coefficients = graph.constant(np.asarray(model.coef_, np.float64).reshape(-1, 1))
    product = graph.node("MatMul", matrix, coefficients)
    return graph.node("Add", product, graph.constant(np.asarray(model.intercept_, np.float64)))


_WRITERS = {
    HistGradientBoostingRegressor: write_trees,
    VotingRegressor: write_trees,
    SimpleImputer: _impute,
    StandardScaler: _scale,
    LinearRegression: _linear,
    Ridge: _linear,
}
