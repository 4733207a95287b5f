"""What can be seen of a model without running it: refuses a graph that a table of numbers and texts does not need.

The bytes are read as protobuf with the few fields that matter here, before onnxruntime sees them. Whoever calls it
with unknown bytes does so under a memory limit (``trial_process.py``). Not here: what the graph answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError

from pipeline.contract.schema import Schema
from serving.errors import ReleaseRefused
from serving.onnx_fields import Model

MAX_NODES = 10_000
MAX_OPSETS = {"": 28, "ai.onnx.ml": 5}  # what onnxruntime 1.32 knows
DOUBLE, STRING = 11, 8
ELEMENTS = {"numeric": DOUBLE, "categorical": STRING}
ELEMENT_NAMES = {1: "float", 6: "int32", 7: "int64", STRING: "string", 9: "bool", 10: "float16", DOUBLE: "double"}
PLAIN_ATTRIBUTES = {"name", "t", "tensors"}  # numbers and texts are not even read

# Elementwise or of a size that their inputs bound. Not: loops and branches, and what makes large out of small
# (ConstantOfShape, Expand, Tile, Range, OneHot, Pad, Resize), random, from outside, or a sequence.
_ONNX = """
    Abs Acos Add And ArgMax ArgMin Asin Atan Cast CastLike Ceil Clip Concat Constant Cos Div Elu Equal Erf Exp Flatten
    Floor Gather GatherElements Gemm Greater GreaterOrEqual HardSigmoid Identity IsInf IsNaN LeakyRelu Less LessOrEqual
    Log LogSoftmax MatMul Max Mean Min Mod Mul Neg Not Or Pow Reciprocal ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax
    ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round Shape Sigmoid Sign Sin Slice Softmax
    Softplus Split Sqrt Squeeze Sub Sum Tan Tanh Transpose Unsqueeze Where Xor
"""
_ONNX_ML = """
    ArrayFeatureExtractor Binarizer FeatureVectorizer Imputer LabelEncoder LinearRegressor Normalizer OneHotEncoder
    SVMRegressor Scaler TreeEnsemble TreeEnsembleRegressor
"""
OPERATORS = {"": frozenset(_ONNX.split()), "ai.onnx.ml": frozenset(_ONNX_ML.split())}


def check_graph(model: bytes, schema: Schema) -> None:
    """Raises ``ReleaseRefused`` saying what is where, if ``model`` is not a plain graph for exactly ``schema``."""
    try:
        found = Model.FromString(model)
        _check_model(found)
        _check_nodes(found.graph.node, {opset.domain for opset in found.opset_import})
        _check_constants(found.graph, len(model))
        _check_signature(found.graph, schema)
    except DecodeError as error:
        raise ReleaseRefused("model.onnx is not an ONNX model: it cannot be read as protobuf") from error


def _check_model(model: Any) -> None:
    if not model.HasField("graph"):
        raise ReleaseRefused("model.onnx is not an ONNX model: it has no graph")
    for field, what in (("functions", "functions of its own"), ("training_info", "training steps")):
        if getattr(model, field):
            raise ReleaseRefused(f"the model brings {what}; only a plain graph is taken")
    domains = [opset.domain for opset in model.opset_import]
    if "" not in domains or len(set(domains)) != len(domains):
        raise ReleaseRefused("the model must name the opset of each domain once, that of the ONNX operators included")
    for opset in model.opset_import:
        if opset.domain not in MAX_OPSETS:
            known = " and ".join(map(repr, MAX_OPSETS))
            raise ReleaseRefused(f"the model needs operators of the domain {opset.domain!r}; only {known} are taken")
        if not 1 <= opset.version <= MAX_OPSETS[opset.domain]:
            known = f"1 to {MAX_OPSETS[opset.domain]} are known here"
            raise ReleaseRefused(f"the model needs opset {opset.version} of the domain {opset.domain!r}; {known}")


def _check_nodes(nodes: Any, domains: set[str]) -> None:
    if len(nodes) > MAX_NODES:
        raise ReleaseRefused(f"the model has {len(nodes)} nodes, at most {MAX_NODES} are taken")
    for index, node in enumerate(nodes):
        where = f"node {index} ({node.name or node.op_type})"
        if node.domain not in domains:
            raise ReleaseRefused(f"{where} is of the domain {node.domain!r}, whose opset the model does not name")
        if node.op_type not in OPERATORS[node.domain]:
            raise ReleaseRefused(f"{where} is a {node.op_type}, which is not on the list of allowed operators")
        for attribute in node.attribute:
            _check_attribute(attribute, where)


def _check_attribute(attribute: Any, where: str) -> None:
    for field, _ in attribute.ListFields():
        if field.name not in PLAIN_ATTRIBUTES:
            raise ReleaseRefused(
                f"{where} has the attribute {attribute.name} with a {field.name}; only values are taken"
            )


def _check_constants(graph: Any, model_bytes: int) -> None:
    if graph.sparse_initializer:
        raise ReleaseRefused("the model has sparse constants; only plain ones are taken")
    for where, tensor in _tensors(graph):
        if tensor.data_location or tensor.external_data:
            raise ReleaseRefused(f"{where} lies outside of the model file; a release is one file")
        # the smallest types put two values into a byte
        if any(size < 0 for size in tensor.dims) or math.prod(tensor.dims) > 2 * model_bytes:
            raise ReleaseRefused(f"{where} says that it is larger than the model file")


def _tensors(graph: Any) -> Iterator[tuple[str, Any]]:
    for tensor in graph.initializer:
        yield f"the constant {tensor.name!r}", tensor
    for index, node in enumerate(graph.node):
        for attribute in node.attribute:
            for tensor in (*attribute.t, *attribute.tensors):
                yield f"the attribute {attribute.name} of node {index} ({node.name or node.op_type})", tensor


def _check_signature(graph: Any, schema: Schema) -> None:
    wanted = {column.name: ELEMENTS.get(column.kind, 0) for column in schema.inputs}
    if not wanted or len(wanted) != len(schema.inputs):
        raise ReleaseRefused("the manifest's columns must be there, each with its own name")
    _check_values("input", graph.input, wanted, ranks=(2,))
    _check_values("output", graph.output, dict.fromkeys(schema.outputs, DOUBLE), ranks=(1, 2))
    both = wanted.keys() & {tensor.name for tensor in graph.initializer}
    if both:
        raise ReleaseRefused(f"the input {min(both)} is also a constant of the model")


def _check_values(what: str, values: Any, wanted: dict[str, int], ranks: tuple[int, ...]) -> None:
    found = {value.name: _element(value) for value in values}
    if len(found) != len(values):
        raise ReleaseRefused(f"the model has two {what}s of the same name")
    for name in sorted(found.keys() | wanted.keys(), key=str):  # a name that is not UTF-8 is bytes
        has, must = found.get(name, "missing"), ELEMENT_NAMES.get(wanted.get(name, 0), "missing")
        if has != must:
            raise ReleaseRefused(f"{what} {name} is {has} in the model and {must} in the manifest")
    for value in values:
        shape = value.type.tensor_type.shape
        sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in shape.dim]
        if len(sizes) not in ranks or sizes != [None, 1][: len(sizes)]:
            shown = ", ".join("N" if size is None else str(size) for size in sizes)
            raise ReleaseRefused(f"the model's {what} {value.name} has shape [{shown}], it must be [N, 1]")


def _element(value: Any) -> str:
    if not value.type.HasField("tensor_type"):
        return "no tensor"
    number = value.type.tensor_type.elem_type
    return ELEMENT_NAMES.get(number, f"of the element type {number}")
