"""A fitted HistGradientBoosting regressor, or the mean of some, as one ONNX ``TreeEnsemble`` node, in double.

skl2onnx writes such models with float32 splits: a value between a split and its float32 neighbour takes the
other branch (onnx/sklearn-onnx#1192). Not here: where the node's input comes from (``pipeline/conversion.py``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper
from sklearn.ensemble import HistGradientBoostingRegressor, VotingRegressor

from pipeline.errors import ModelRefused

Nodes = npt.NDArray[Any]
Columns = dict[str, npt.NDArray[Any]]

DOMAIN, OPSET = "ai.onnx.ml", 5
SUM, NO_TRANSFORM, LESS_OR_EQUAL = 1, 0, 0
TENSORS = ("nodes_modes", "nodes_splits", "leaf_weights")


def members(model: Any) -> list[HistGradientBoostingRegressor] | None:
    """The boosted regressors that a fitted model is the plain mean of; None when it is another kind of model."""
    fitted = model.estimators_ if isinstance(model, VotingRegressor) and model.weights is None else [model]
    return list(fitted) if all(isinstance(part, HistGradientBoostingRegressor) for part in fitted) else None


def attributes(models: Sequence[HistGradientBoostingRegressor]) -> dict[str, Any]:
    """Attributes of a TreeEnsemble node (ai.onnx.ml opset 5) for the mean of ``models``: [n, features] to [n, 1].

    The trees keep sklearn's order and the baseline prediction is in the first tree's leaves, so that the sum of
    one model is rounded as in sklearn.

    Raises:
        ModelRefused: a model has native categorical splits, a link function or several outputs.
    """
    for model in models:
        _check(model)
    columns = [*_trees(models)]
    lists = {name: np.concatenate([tree[name] for tree in columns]) for name in columns[0]}
    return {
        "n_targets": 1,
        "aggregate_function": SUM,
        "post_transform": NO_TRANSFORM,
        **{name: numpy_helper.from_array(lists[name]) for name in TENSORS},
        **{name: lists[name].tolist() for name in lists if name not in TENSORS},
    }


def _check(model: HistGradientBoostingRegressor) -> None:
    if model.is_categorical_ is not None or any(tree["is_categorical"].any() for tree, _ in _nodes(model)):
        # Such models convert silently wrong with skl2onnx, too: onnx/sklearn-onnx#1101.
        raise ModelRefused("the model has native categorical splits; encode the categories before it")
    if model.n_trees_per_iteration_ != 1:
        raise ModelRefused("the model has more than one output")
    link = type(model._loss.link).__name__  # noqa: SLF001  sklearn has no public way to it
    if link != "IdentityLink":
        raise ModelRefused(f"loss={model.loss!r} answers through {link}; use one that answers in the target's unit")


def _nodes(model: HistGradientBoostingRegressor) -> Iterator[tuple[Nodes, float]]:
    """Each tree's nodes, and what is to be added to its leaves: the baseline prediction to the first tree's."""
    baseline = float(np.ravel(model._baseline_prediction)[0])  # noqa: SLF001  sklearn has no public way to it,
    for i, (tree, *_) in enumerate(model._predictors):  # noqa: SLF001  nor to the trees
        yield tree.nodes, baseline if i == 0 else 0.0


def _trees(models: Sequence[HistGradientBoostingRegressor]) -> Iterator[Columns]:
    branches = leaves = 0
    for nodes, added in itertools.chain.from_iterable(map(_nodes, models)):
        tree = _tree(_with_a_branch(nodes), branches, leaves)
        weights = (tree["leaf_weights"] + added) / len(models)
        yield tree | {"leaf_weights": weights, "leaf_targetids": np.zeros(len(weights), np.int64)}
        branches, leaves = branches + len(tree["nodes_modes"]), leaves + len(weights)


def _with_a_branch(nodes: Nodes) -> Nodes:
    """A tree of one leaf gets a branch whose two ways lead to that leaf, as the operator wants it."""
    if not nodes["is_leaf"][0]:
        return nodes
    branch = nodes[:1].copy()
    for name, value in (("is_leaf", 0), ("left", 1), ("right", 1), ("num_threshold", 0.0), ("feature_idx", 0)):
        branch[name] = value
    return np.concatenate([branch, nodes[:1]])


def _tree(nodes: Nodes, branches_before: int, leaves_before: int) -> Columns:
    """One tree; branches and leaves are numbered apart, each on from those of the trees before."""
    is_leaf = nodes["is_leaf"].astype(bool)
    leaf_number = leaves_before + np.cumsum(is_leaf) - 1
    branch_number = branches_before + np.cumsum(~is_leaf) - 1
    number = np.where(is_leaf, leaf_number, branch_number)
    branches = nodes[~is_leaf]
    return {
        "tree_roots": np.array([branches_before]),
        "nodes_featureids": branches["feature_idx"],
        "nodes_splits": branches["num_threshold"].astype(np.float64),
        "nodes_modes": np.full(len(branches), LESS_OR_EQUAL, np.uint8),
        "nodes_missing_value_tracks_true": branches["missing_go_to_left"],
        "nodes_trueleafs": is_leaf[branches["left"]].astype(np.int64),
        "nodes_truenodeids": number[branches["left"]],
        "nodes_falseleafs": is_leaf[branches["right"]].astype(np.int64),
        "nodes_falsenodeids": number[branches["right"]],
        "leaf_weights": nodes["value"][is_leaf],
    }
