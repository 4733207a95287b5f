"""HistGradientBoosting as TreeEnsemble nodes, against sklearn's own predictions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingRegressor

from pipeline import tree_ensemble
from pipeline.errors import ModelRefused
from pipeline.hostile import _neighbours
from pipeline.onnx_graph import ML
from tests.pipeline.fitted_model import one_thread  # noqa: F401  a fixture
from tests.pipeline.onnx_parts import answer


def onnx_answer(models, X):
    """The mean of the models, of one node: (n, 1)."""
    attributes = tree_ensemble.attributes(models)
    return answer(lambda graph: graph.node("TreeEnsemble", "X", domain=ML, **attributes), {"X": X})


def sklearn_answer(models, X):
    return np.mean([model.predict(X) for model in models], axis=0).reshape(-1, 1)


def data(seed, rows=200, features=3, missing=0.2):
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, features)).round(random.integers(0, 8))
    X[random.random(X.shape) < missing] = np.nan
    return X, np.nansum(X, axis=1) + random.normal(size=rows) * 0.1


def hostile(models, X):
    """Rows with missing, infinite and huge values, and with every threshold and its neighbours in every column."""
    nodes = np.concatenate([tree.nodes for model in models for (tree,) in model._predictors])
    values = _neighbours(nodes["num_threshold"][np.isfinite(nodes["num_threshold"]) & (nodes["is_leaf"] == 0)])
    values = [*values, np.nan, np.inf, -np.inf, 1e300, -1e300, 5e-324, 0.0, -0.0]
    rows = np.repeat(X[:2], len(values), axis=0)
    tests = [X]
    for column in range(X.shape[1]):
        changed = rows.copy()
        changed[:, column] = values * 2
        tests.append(changed)
    return np.concatenate(tests)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    iterations=st.integers(1, 8),
    leaves=st.integers(2, 12),
    features=st.integers(1, 4),
    missing=st.sampled_from([0.0, 0.3, 0.95]),
)
def test_any_trees_answer_as_in_sklearn_to_the_last_bits(seed, iterations, leaves, features, missing):
    """Random trees agree with sklearn on ordinary, missing, infinite and threshold values."""
    X, y = data(seed, features=features, missing=missing)
    kwargs = {"max_iter": iterations, "max_leaf_nodes": leaves, "min_samples_leaf": 3, "early_stopping": False}
    models = [
        HistGradientBoostingRegressor(loss="absolute_error", **kwargs).fit(X, y),
        HistGradientBoostingRegressor(loss="quantile", quantile=0.9, **kwargs).fit(X, y),
        HistGradientBoostingRegressor(**kwargs).fit(X, y),
    ]
    rows = hostile(models, X)
    for model in models:
        np.testing.assert_allclose(onnx_answer([model], rows), sklearn_answer([model], rows), rtol=1e-12, atol=1e-13)


def test_several_models_answer_their_mean():
    """They are still one node with one column of answers."""
    X, y = data(1)
    models = [HistGradientBoostingRegressor(max_iter=30, max_features=0.5, random_state=i).fit(X, y) for i in (0, 1)]
    assert onnx_answer(models, X).shape == (len(X), 1)
    np.testing.assert_allclose(onnx_answer(models, X), sklearn_answer(models, X), rtol=1e-12, atol=1e-13)


def test_a_value_between_a_threshold_and_its_float32_neighbour_takes_sklearns_branch():
    """Thresholds keep all their bits: values that float32 cannot tell apart are told apart."""
    X = np.repeat([[1.0], [1.0 + 1e-12]], 100, axis=0)
    model = HistGradientBoostingRegressor(max_iter=1, min_samples_leaf=1).fit(X, X[:, 0] * 1e12)
    answers = onnx_answer([model], X)
    assert len(np.unique(answers)) == 2
    np.testing.assert_array_equal(answers, sklearn_answer([model], X))


def test_trees_of_a_single_leaf():
    """A model that found nothing to split answers its baseline everywhere, also for missing values."""
    X = np.array([[1.0], [2.0], [np.nan]] * 10)
    model = HistGradientBoostingRegressor(max_iter=3).fit(X, np.full(30, 7.25))
    assert all(len(tree.nodes) == 1 for (tree,) in model._predictors)
    np.testing.assert_array_equal(onnx_answer([model], X), np.full((30, 1), 7.25))


def test_a_split_between_missing_and_known_values():
    """A threshold of infinity sends every known value left, infinity included, and missing ones right."""
    X = np.array([[1.0], [1.0], [np.nan]] * 20)
    model = HistGradientBoostingRegressor(max_iter=2, min_samples_leaf=1).fit(X, np.isnan(X[:, 0]) * 5.0)
    assert np.isinf(model._predictors[0][0].nodes["num_threshold"][0])
    rows = np.array([[1.0], [np.nan], [np.inf], [-np.inf], [1e308]])
    np.testing.assert_allclose(onnx_answer([model], rows), sklearn_answer([model], rows), rtol=1e-12)


def test_a_root_whose_leaf_and_branch_have_the_same_number():
    """onnxruntime once took such a root for a leaf (microsoft/onnxruntime#24679)."""
    for seed in range(50):
        X, y = data(seed, missing=0.0)
        model = HistGradientBoostingRegressor(max_iter=6, max_leaf_nodes=3, early_stopping=False).fit(X, y)
        made = tree_ensemble.attributes([model])
        roots = made["tree_roots"]
        if any(
            made["nodes_truenodeids"][root] == made["nodes_falsenodeids"][root]
            and made["nodes_trueleafs"][root] != made["nodes_falseleafs"][root]
            for root in roots
        ):
            np.testing.assert_allclose(onnx_answer([model], X), sklearn_answer([model], X), rtol=1e-12)
            return
    pytest.fail("no such tree among those tried")


def test_native_categories_are_refused():
    """sklearn's own categorical splits are refused by name, before any graph is made."""
    X = np.random.default_rng(0).integers(0, 5, (200, 2)).astype(float)
    model = HistGradientBoostingRegressor(categorical_features=[0], max_iter=3).fit(X, X[:, 0] % 2)
    with pytest.raises(ModelRefused, match="native categorical splits"):
        tree_ensemble.attributes([model])


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_losses_with_a_link_are_refused(loss):
    """A model that answers through an exponential is refused, not answered in logarithms."""
    X, y = data(3)
    model = HistGradientBoostingRegressor(loss=loss, max_iter=3).fit(X, np.exp(y))
    with pytest.raises(ModelRefused, match=loss):
        tree_ensemble.attributes([model])
