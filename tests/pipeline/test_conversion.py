"""The whole Pipeline as one ONNX graph; and that wrong conversions are seen by the same check."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pipeline.category_codes import CategoryCodes
from pipeline.contract.schema import Column, Schema
from pipeline.conversion import to_onnx
from pipeline.errors import ModelRefused
from pipeline.export import prove
from pipeline.hostile import hostile_rows, thresholds
from pipeline.onnx_columns import Sources, _codes, write_columns
from pipeline.scoring import Scorer, arrays
from tests.pipeline.fitted_model import DATASET, NUMBERS, TEXTS, cars, fitted, one_thread, trees  # noqa: F401  a fixture
from tests.pipeline.onnx_parts import answer

EXACT = 1e-12


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return cars(600)


@pytest.fixture(scope="module")
def pipeline(rows) -> Pipeline:
    return fitted(rows)


def parity(pipeline, rows, with_baseline=True):
    """Converted, and held against the pipeline on ordinary and hostile rows."""
    schema = DATASET.schema(with_baseline)
    scorer = Scorer(to_onnx(pipeline, schema), schema, threads=1)
    hostile = hostile_rows(schema, thresholds(pipeline), rows)
    return max(prove(pipeline, scorer, schema, part)[0].max_relative_difference for part in (rows, hostile))


def test_the_graph_answers_as_the_pipeline(pipeline, rows):
    """Ordinary, missing, unseen and threshold values give the pipeline's answers to the last bits."""
    assert parity(pipeline, rows) <= EXACT


def test_the_features_are_equal_to_the_last_bit(pipeline, rows):
    """Not only the answers: a feature that is off by one bit is one threshold away from another answer."""
    hostile = hostile_rows(DATASET.schema(True), thresholds(pipeline), rows)

    def write(graph):
        write_columns(graph, Sources({name: name for name in [*NUMBERS, *TEXTS]}), pipeline[0], "codes")
        write_columns(graph, Sources({}, "codes", 5), pipeline[1], "peers")
        width = len(pipeline[:2].get_feature_names_out())
        write_columns(graph, Sources({}, "peers", width), pipeline[2], "effects")
        return "effects"

    features = answer(write, arrays(hostile, DATASET.schema(True)))
    np.testing.assert_array_equal(features, pipeline[:-1].transform(hostile))


def test_trees_as_the_last_step_are_written_in_double(rows):
    """Without an interval around it, the same trees are converted by our converter too, not by skl2onnx's."""
    pipeline = Pipeline([*fitted(rows).steps[:-1], ("trees", trees())])
    pipeline[-1].fit(pipeline[:-1].transform(rows), rows["paid"])
    schema = Schema(DATASET.schema(True).inputs, "USD", outputs=("variable",))
    scorer = Scorer(to_onnx(pipeline, schema), schema)
    np.testing.assert_allclose(scorer.predict(rows)[:, 0], pipeline.predict(rows), rtol=EXACT)


def test_without_a_baseline(rows):
    """A model of the price itself converts as one of the ratio does."""
    assert parity(fitted(rows, baseline=False), rows, with_baseline=False) <= EXACT


def test_a_baseline_in_logarithms(rows):
    """A baseline column of logarithms is raised inside the graph."""
    pipeline = fitted(rows)
    price = pipeline[-1]
    price.log_baseline = True
    logarithms = rows.assign(guide=np.log(rows["guide"]))
    assert 0 < pipeline.predict(logarithms).max() < np.inf
    schema = DATASET.schema(True)
    scorer = Scorer(to_onnx(pipeline, schema), schema, threads=1)
    assert prove(pipeline, scorer, schema, logarithms)[0].max_relative_difference <= EXACT


@pytest.mark.parametrize("last", [LinearRegression(), Ridge(alpha=2.0)])
def test_a_linear_model_of_the_price(rows, last):
    """An imputed, scaled linear model stays in double beside the trees of the interval."""
    point = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), last)
    assert parity(fitted(rows, point=point), rows) <= 1e-9


def test_the_graph_takes_raw_columns_by_name_and_gives_the_three_answers(pipeline):
    """Inputs and outputs are those of the schema: double and text, one column each."""
    session = onnxruntime.InferenceSession(to_onnx(pipeline, DATASET.schema(True)), providers=["CPUExecutionProvider"])
    inputs = {value.name: (value.type, value.shape[1]) for value in session.get_inputs()}
    assert inputs == dict.fromkeys(NUMBERS, ("tensor(double)", 1)) | dict.fromkeys(TEXTS, ("tensor(string)", 1))
    assert [(v.name, v.type, v.shape[1]) for v in session.get_outputs()] == [
        (name, "tensor(double)", 1) for name in ("price", "low", "high")
    ]


def test_nothing_in_the_graph_is_single_precision(pipeline):
    """No constant, attribute or inferred value of the graph is float32."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(to_onnx(pipeline, DATASET.schema(True))))
    tensors = [*model.graph.initializer, *(a.t for node in model.graph.node for a in node.attribute if a.HasField("t"))]
    kinds = {tensor.data_type for tensor in tensors} | {v.type.tensor_type.elem_type for v in model.graph.value_info}
    assert onnx.TensorProto.FLOAT not in kinds
    assert onnx.TensorProto.DOUBLE in kinds


def test_price_low_and_high_have_their_own_trees(pipeline):
    """Three nodes with a single target, which onnxruntime answers faster than one node with three."""
    graph = onnx.load_from_string(to_onnx(pipeline, DATASET.schema(True))).graph
    trees = [node for node in graph.node if node.op_type == "TreeEnsemble"]
    targets = [attribute.i for node in trees for attribute in node.attribute if attribute.name == "n_targets"]
    assert targets == [1, 1, 1]


def test_the_answers_are_ordered_and_at_least_the_minimum(pipeline, rows):
    """minimum <= low <= price <= high, also where the three models cross."""
    schema = DATASET.schema(True)
    answers = Scorer(to_onnx(pipeline, schema), schema).predict(rows.assign(guide=rows["guide"] / 20))
    price, low, high = answers.T
    assert (low >= 1_000).all()
    assert (low == 1_000).any()
    assert (low <= price).all()
    assert (price <= high).all()


def test_a_missing_baseline_gives_no_answer(pipeline, rows):
    """Without its baseline a ratio is worth nothing: all three answers are NaN, in the graph as in Python."""
    schema = DATASET.schema(True)
    answers = Scorer(to_onnx(pipeline, schema), schema).predict(rows.head(3).assign(guide=np.nan))
    assert np.isnan(answers).all()
    assert np.isnan(pipeline.predict(rows.head(3).assign(guide=np.nan))).all()


def test_the_same_model_gives_the_same_bytes_in_every_process():
    """Trained and converted in two processes with different hash seeds, the bytes are equal."""
    code = (
        "import hashlib; from pipeline.conversion import to_onnx; "
        "from tests.pipeline.fitted_model import DATASET, cars, fitted; "
        "print(hashlib.sha256(to_onnx(fitted(cars(200)), DATASET.schema(True))).hexdigest())"
    )
    root = Path(__file__).parents[2]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE, text=True, cwd=root,
        )
        for seed in ("1", "33")  # with 33 the set that skl2onnx writes its opsets from has another order
    ]  # fmt: skip
    here = hashlib.sha256(to_onnx(fitted(cars(200)), DATASET.schema(True))).hexdigest()
    assert [process.communicate()[0].strip() for process in processes] == [here, here]


def test_converting_registers_nothing_with_skl2onnx(pipeline):
    """Our converters are used for this conversion only; skl2onnx's own still stand for everybody else."""
    from skl2onnx._supported_operators import sklearn_operator_name_map

    before = dict(sklearn_operator_name_map)
    to_onnx(pipeline, DATASET.schema(True))
    assert dict(sklearn_operator_name_map) == before


def test_an_input_that_is_also_an_output_is_refused(pipeline):
    """skl2onnx would rename the output silently; the refusal shows the names."""
    schema = Schema(DATASET.schema(True).inputs, "USD", outputs=("guide", "low", "high"))
    with pytest.raises(ModelRefused, match="guide1; they should be"):
        to_onnx(pipeline, schema)


def test_a_column_name_with_a_blank_is_refused(rows):
    """skl2onnx would rename the input silently."""
    renamed = rows.rename(columns={"miles": "miles driven"})
    codes = ColumnTransformer([("numeric", "passthrough", ["miles driven"])])
    price = fitted(rows, baseline=False)[-1]
    price.set_params(baseline_index=None).fit(codes.fit_transform(renamed), rows["paid"].to_numpy())
    schema = Schema((Column("miles driven", "numeric"),), "USD")
    with pytest.raises(ModelRefused, match="miles_driven"):
        to_onnx(Pipeline([("codes", codes), ("price", price)]), schema)


def test_a_regressor_without_an_exact_conversion_is_refused(rows):
    """The refusal names the class and those that can be used."""
    forest = make_pipeline(SimpleImputer(), RandomForestRegressor(2, max_depth=2))
    with pytest.raises(ModelRefused, match="RandomForestRegressor; there is of HistGradientBoostingRegressor"):
        to_onnx(fitted(rows, point=forest), DATASET.schema(True))


def test_native_categories_are_refused(rows):
    """sklearn's categorical splits are refused before a graph is made."""
    with pytest.raises(ModelRefused, match="native categorical splits"):
        to_onnx(fitted(rows, point=trees(categorical_features=[0])), DATASET.schema(True))


def test_text_codes_after_the_first_step_are_refused():
    """A step that our converter knows, where it cannot stand, is refused with what to do."""
    codes = CategoryCodes(missing=((),)).fit(pd.DataFrame({"make": ["Ford"]}))
    with pytest.raises(ModelRefused, match="in the first step"):
        answer(lambda graph: _codes(graph, Sources({}, "X", 5), codes, [4])[0], {"X": np.zeros((1, 5))})


def test_groups_of_text_are_refused(pipeline):
    """Groups are of codes; straight on text they are refused with what to do."""
    sources = Sources({name: name for name in range(12)})
    with pytest.raises(ModelRefused, match="one step before"):
        answer(lambda graph: write_columns(graph, sources, pipeline[1], "features"), {"X": np.zeros((1, 5))})


def test_a_scaler_among_our_steps_is_written_by_skl2onnx_and_proven(rows):
    """A step that is not ours goes through skl2onnx's own converter, and through the same check."""
    codes = ColumnTransformer([("numeric", StandardScaler(), ["miles", "guide"])])
    price = fitted(rows)[-1]
    price.set_params(baseline_index=None).fit(codes.fit_transform(rows), rows["paid"].to_numpy())
    schema = Schema(tuple(c for c in DATASET.schema(True).inputs if c.name in ("miles", "guide")), "USD")
    pipeline = Pipeline([("codes", codes), ("price", price)])
    found, _ = prove(pipeline, Scorer(to_onnx(pipeline, schema), schema), schema, rows)
    assert found.max_relative_difference <= EXACT


# Wrong conversions, made on purpose with skl2onnx's own converters, must fail the check that a release goes through.

NUMERIC = tuple(Column(f"x{i}", "numeric", minimum=-5, maximum=5) for i in range(3))
ONE_ANSWER = Schema(NUMERIC, "USD", outputs=("variable",))


def as_it_comes(model, inputs):
    """What skl2onnx makes of a model by itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return convert_sklearn(model, initial_types=inputs, target_opset=17)


class SingleTensor:
    """A graph with one numeric input matrix, asked as a Scorer is."""

    def __init__(self, model, dtype):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.dtype = dtype

    def predict(self, frame):
        return self.session.run(None, {"X": frame.to_numpy(self.dtype)})[0].astype(float)


class Columned:
    """A pipeline whose answers have shape (n, 1), as the graph's."""

    def __init__(self, model):
        self.model = model

    def predict(self, frame):
        return self.model.predict(frame.to_numpy()).reshape(-1, 1)


def numbers(seed=0, count=3_000):
    random = np.random.default_rng(seed)
    X = random.normal(size=(count, 3))
    return pd.DataFrame(X, columns=[column.name for column in NUMERIC]), X


def test_wrong_on_purpose_native_categories_by_skl2onnx():
    """Categorical splits converted by skl2onnx itself are silently wrong (onnx/sklearn-onnx#1101): the check sees it."""
    frame, X = numbers()
    codes = np.random.default_rng(1).integers(0, 9, len(X)).astype(float)
    X[:, 0] = frame["x0"] = codes
    y = 100 + 50 * np.isin(codes, [1, 4, 6]) + X[:, 1]
    model = HistGradientBoostingRegressor(categorical_features=[0], max_iter=20).fit(X, y)
    graph = as_it_comes(model, [("X", FloatTensorType([None, 3]))])
    with pytest.raises(ModelRefused, match=r"does not answer as the pipeline does.*\n.*x0="):
        prove(Columned(model), SingleTensor(graph, np.float32), ONE_ANSWER, frame)


def test_wrong_on_purpose_a_scaler_before_trees_in_single_precision():
    """Scaled in float32, values near a threshold take another branch: the check sees it."""
    random = np.random.default_rng(2)
    X = random.integers(0, 200_000, (3_000, 3)) / 100
    frame = pd.DataFrame(X, columns=[column.name for column in NUMERIC])
    y = 10_000 + X @ [3.0, -2.0, 1.0] + 4_000 * (X[:, 0] > 1_000)
    model = make_pipeline(StandardScaler(), HistGradientBoostingRegressor(max_iter=60)).fit(X, y)
    graph = as_it_comes(model, [("X", FloatTensorType([None, 3]))])
    nodes = np.concatenate([tree.nodes for (tree,) in model[-1]._predictors])
    splits = nodes["num_threshold"][(nodes["is_leaf"] == 0) & (nodes["feature_idx"] == 0)]
    near = frame.sample(len(splits), replace=True, random_state=0).assign(
        x0=splits * model[0].scale_[0] + model[0].mean_[0]
    )
    with pytest.raises(ModelRefused, match="does not answer as the pipeline does"):
        prove(Columned(model), SingleTensor(graph, np.float32), ONE_ANSWER, pd.concat([frame, near], ignore_index=True))


def test_wrong_on_purpose_infrequent_categories_that_fail_at_request_time(rows):
    """infrequent_if_exist converts and then fails on an unseen text (onnx/sklearn-onnx#1026): that is a refusal too."""
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=0.2, sparse_output=False)
    model = make_pipeline(ColumnTransformer([("text", encoder, TEXTS)]), LinearRegression()).fit(rows, rows["paid"])
    schema = Schema(
        tuple(column for column in DATASET.schema(False).inputs if column.name in TEXTS), "USD", ("variable",)
    )

    class Asked(Columned):
        def predict(self, frame):
            return self.model.predict(frame).reshape(-1, 1)

    graph = as_it_comes(model, [(name, StringTensorType([None, 1])) for name in TEXTS])
    scorer = Scorer(graph.SerializeToString(), schema)
    with pytest.raises(ModelRefused, match="onnxruntime cannot answer"):
        prove(Asked(model), scorer, schema, hostile_rows(schema, {}, rows))
