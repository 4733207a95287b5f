"""A fitted sklearn Pipeline to one ONNX graph, from raw columns to price, low and high, in double throughout.

skl2onnx walks the Pipeline; converters of ours replace its own wherever those go through float32. They are
handed to that one call and not registered, so importing this file changes nothing for anybody else. Not here:
what the nodes are (``pipeline/onnx_columns.py``, ``onnx_price.py``, ``tree_ensemble.py``), or whether the graph
is right (``pipeline/parity.py``). The only file that imports skl2onnx.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import onnx
from skl2onnx import convert_sklearn
from skl2onnx._parse import sklearn_parsers_map  # the only way to skl2onnx's own parser of a ColumnTransformer
from skl2onnx.common.data_types import DoubleTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline

from pipeline.contract.schema import Schema
from pipeline.errors import ModelRefused
from pipeline.model import IntervalRegressor
from pipeline.onnx_columns import Sources, is_known, write_columns
from pipeline.onnx_graph import ML, GraphWriter
from pipeline.onnx_price import write_price, write_trees
from pipeline.tree_ensemble import OPSET as ML_OPSET

OPSET, IR_VERSION = 21, 10


def to_onnx(pipeline: Pipeline, schema: Schema) -> bytes:
    """The graph of a fitted pipeline as bytes; the same pipeline gives the same bytes in every process.

    Inputs are the schema's columns by name: double [n, 1] (numeric) and string [n, 1] (categorical); outputs
    are ``schema.outputs``, double [n, 1] each.

    Raises:
        ModelRefused: a part has no exact conversion, or the graph is not valid.
    """
    inputs = [(column.name, _TYPES[column.kind]([None, 1])) for column in schema.inputs]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            graph = convert_sklearn(
                pipeline,
                name="price",
                initial_types=inputs,
                target_opset={"": OPSET, ML: ML_OPSET},
                custom_conversion_functions=_CONVERTERS,
                custom_shape_calculators=dict.fromkeys(_CONVERTERS, _shapes),
                custom_parsers={
                    ColumnTransformer: _parse_columns,
                    IntervalRegressor: functools.partial(_parse_price, schema.outputs),
                },
            )
            return _finished(graph, schema)
    except ModelRefused:
        raise
    except Exception as error:  # skl2onnx and onnx raise plain RuntimeError and a dozen kinds of their own
        raise ModelRefused(f"the model cannot be converted to ONNX: {error}") from error


def _finished(graph: onnx.ModelProto, schema: Schema) -> bytes:
    """The bytes of a graph that holds what the schema says and passes ONNX's checker."""
    # Anew, because skl2onnx fills this list from a set of strings: its order differs between processes.
    del graph.opset_import[:]
    graph.opset_import.extend([onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(ML, ML_OPSET)])
    graph.ir_version = IR_VERSION
    _same_names("inputs", [value.name for value in graph.graph.input], [column.name for column in schema.inputs])
    _same_names("outputs", [value.name for value in graph.graph.output], list(schema.outputs))
    onnx.checker.check_model(graph, full_check=True)
    onnx.shape_inference.infer_shapes(graph, check_type=True, strict_mode=True, data_prop=True)
    return bytes(graph.SerializeToString(deterministic=True))


def _same_names(what: str, found: list[str], expected: list[str]) -> None:
    """skl2onnx renames silently what is not a plain word, or is there twice."""
    if sorted(found) != sorted(expected):
        raise ModelRefused(f"the graph's {what} are {', '.join(found)}; they should be {', '.join(expected)}")


def _parse_columns(scope: Any, model: ColumnTransformer, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    """One operator for a ColumnTransformer of ours; any other is taken apart by skl2onnx."""
    if not is_known(model):
        parse = sklearn_parsers_map[ColumnTransformer]
        return list(parse(scope, model, inputs, custom_parsers=custom_parsers))
    return _operator(scope, model, inputs, ("columns",))


def _parse_price(
    outputs: tuple[str, ...], scope: Any, model: IntervalRegressor, inputs: list[Any], **_: Any
) -> list[Any]:
    return _operator(scope, model, inputs, outputs)


def _operator(scope: Any, model: Any, inputs: list[Any], outputs: tuple[str, ...]) -> list[Any]:
    operator = scope.declare_local_operator(type(model).__name__, model)
    operator.inputs = inputs
    operator.outputs.extend(scope.declare_local_variable(name, DoubleTensorType()) for name in outputs)
    return list(operator.outputs)


def _shapes(operator: Any) -> None:
    model = operator.raw_operator
    for output in operator.outputs:
        output.type = DoubleTensorType([None, 1 if hasattr(model, "predict") else None])


def _convert_columns(scope: Any, operator: Any, container: Any) -> None:
    model, inputs = operator.raw_operator, operator.inputs
    if hasattr(model, "feature_names_in_"):
        sources = Sources({variable.raw_name: variable.onnx_name for variable in inputs})
    else:
        sources = Sources({}, inputs[0].onnx_name, model.n_features_in_)
    write_columns(GraphWriter(scope, container), sources, model, operator.outputs[0].onnx_name)


def _convert_price(scope: Any, operator: Any, container: Any) -> None:
    price, low, high = (variable.onnx_name for variable in operator.outputs)
    write_price(GraphWriter(scope, container), operator.inputs[0].onnx_name, operator.raw_operator, (price, low, high))


def _convert_trees(scope: Any, operator: Any, container: Any) -> None:
    graph = GraphWriter(scope, container)
    answer = write_trees(graph, operator.inputs[0].onnx_name, operator.raw_operator)
    graph.write("Identity", (answer,), (operator.outputs[0].onnx_name,))


_TYPES = {"numeric": DoubleTensorType, "categorical": StringTensorType}
_CONVERTERS = {
    ColumnTransformer: _convert_columns,
    IntervalRegressor: _convert_price,
    HistGradientBoostingRegressor: _convert_trees,
}
