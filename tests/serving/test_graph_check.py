"""serving/graph_check.py"""

import re
from pathlib import Path

import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from pipeline.contract.schema import Column, Schema
from serving import onnx_fields
from serving.errors import ReleaseRefused
from serving.graph_check import MAX_NODES, MAX_OPSETS, OPERATORS, check_graph
from tests.serving import hostile_models as hostile
from tests.serving import tiny

REPOSITORY = Path(__file__).resolve().parents[2]


def refusal(model: bytes, schema: Schema = tiny.SCHEMA) -> str:
    with pytest.raises(ReleaseRefused) as caught:
        check_graph(model, schema)
    return str(caught.value)


@pytest.mark.parametrize("flat", [False, True])
def test_a_plain_graph_passes(flat):
    """Answers may be [N, 1] or [N]."""
    check_graph(tiny.onnx_model(1, flat=flat), tiny.SCHEMA)


def test_every_operator_that_the_pipeline_writes_is_allowed():
    """An exporter that begins to use another operator fails here and not at the deploy."""
    text = "".join(path.read_text() for path in (REPOSITORY / "pipeline").glob("*.py"))
    written = set(re.findall(r"""graph\.(?:node|write)\(\s*"(\w+)""", text))
    assert {"TreeEnsemble", "LabelEncoder", "Gather"} <= written
    assert written <= OPERATORS[""] | OPERATORS["ai.onnx.ml"]


def test_every_allowed_operator_exists():
    """No name on the list is misspelled, and none has another domain."""
    assert [op for domain, ops in OPERATORS.items() for op in ops if not onnx.defs.has(op, domain)] == []


def test_onnxruntime_takes_the_newest_opsets_that_are_allowed():
    """What is let through here is not refused there for its age."""
    opsets = [helper.make_opsetid(domain, version) for domain, version in MAX_OPSETS.items()]
    values = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None, 1]) for name in "ab"]
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    assert onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def test_the_field_numbers_are_those_of_onnx():
    """Each field that is looked at has the number and the name that it has in ONNX."""
    messages = {"Opset": "OperatorSetId", "Value": "ValueInfo", "Shape": "TensorShape"}
    parts = {"TensorType": onnx.TypeProto.Tensor, "Dim": onnx.TensorShapeProto.Dimension}
    for name, fields in onnx_fields.MESSAGES.items():
        theirs = (parts.get(name) or getattr(onnx, f"{messages.get(name, name)}Proto")).DESCRIPTOR
        for number, word, _ in map(str.split, fields.split(",")):
            assert theirs.fields_by_name[word].number == int(number), (name, word)


@pytest.mark.parametrize("data", [b"", b"not onnx", b"<html></html>", b"\x80\x04N.", b"\x3a\xff\xff\xff\xff\xff"])
def test_bytes_that_are_no_model_are_said_to_be_none(data):
    """Whatever it is, there is one sentence."""
    assert refusal(data).startswith("model.onnx is not an ONNX model: ")


def test_every_truncation_is_survived():
    """A cut is one refusal or a graph that lacks something; never another error."""
    whole = tiny.onnx_model(1)
    for length in range(len(whole)):
        assert refusal(whole[:length])


GENERATORS = "ConstantOfShape Expand Tile Range OneHot Pad Resize RandomNormal RandomUniformLike Multinomial Bernoulli"


@pytest.mark.parametrize("op", [*GENERATORS.split(), "Loop", "If", "Scan", "SequenceMap", "NonZero", "ImageDecoder"])
def test_operators_that_no_table_needs_are_refused_by_name(op):
    """Loops, branches, and whatever makes much out of little or out of chance."""
    wanted = f"node 15 (extra) is a {op}, which is not on the list of allowed operators"
    assert refusal(hostile.with_node(op)) == wanted


@pytest.mark.parametrize(
    ("attribute", "what"),
    [
        ({"then_branch": hostile.subgraph()}, "the attribute then_branch with a g"),
        ({"branches": [hostile.subgraph()]}, "the attribute branches with a graphs"),
        ({"kind": helper.make_tensor_type_proto(1, [1])}, "the attribute kind with a tp"),
    ],
)
def test_attributes_that_are_more_than_values_are_refused(attribute, what):
    """Also on an operator that is allowed."""
    assert refusal(hostile.with_node("Identity", **attribute)) == f"node 15 (extra) has {what}; only values are taken"


@pytest.mark.parametrize(("spelling", "model"), list(hostile.external_data()))
def test_a_tensor_outside_of_the_file_is_refused(spelling, model):
    """However the place is spelled, and also without a place."""
    assert refusal(model).endswith("lies outside of the model file; a release is one file")


def set_opset(domain, version):
    def change(model):
        model.opset_import.append(helper.make_opsetid(domain, version))
        if domain == "":
            del model.opset_import[0]

    return hostile.changed(change)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (set_opset("", 999), "the model needs opset 999 of the domain ''; 1 to 28 are known here"),
        (set_opset("", 0), "the model needs opset 0 of the domain ''; 1 to 28 are known here"),
        (set_opset("ai.onnx.ml", 6), "the model needs opset 6 of the domain 'ai.onnx.ml'; 1 to 5 are known here"),
        (
            set_opset("com.microsoft", 1),
            "the model needs operators of the domain 'com.microsoft'; only '' and 'ai.onnx.ml' are taken",
        ),
        (
            hostile.changed(lambda model: model.ClearField("opset_import")),
            "the model must name the opset of each domain once, that of the ONNX operators included",
        ),
        (
            hostile.with_node("Scaler", domain="ai.onnx.ml"),
            "node 15 (extra) is of the domain 'ai.onnx.ml', whose opset the model does not name",
        ),
        (
            hostile.with_node("Gelu", domain="com.microsoft"),
            "node 15 (extra) is of the domain 'com.microsoft', whose opset the model does not name",
        ),
    ],
)
def test_operators_that_are_not_known_here_are_refused(model, reason):
    """Too new an opset, none, or a domain that only some servers have."""
    assert refusal(model) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m.functions.add(name="f"), "the model brings functions of its own; only a plain graph is taken"),
        (lambda m: m.training_info.add(), "the model brings training steps; only a plain graph is taken"),
        (lambda m: m.graph.sparse_initializer.add(), "the model has sparse constants; only plain ones are taken"),
        (lambda m: m.graph.initializer[0].dims.append(1 << 40), "the constant 'zero' says that it is larger than"),
        (lambda m: m.graph.initializer[0].dims.append(-1), "the constant 'zero' says that it is larger than"),
        (lambda m: m.graph.input.append(m.graph.input[0]), "the model has two inputs of the same name"),
        (lambda m: setattr(m.graph.initializer[0], "name", "year"), "the input year is also a constant of the model"),
    ],
)
def test_what_a_plain_graph_does_not_have_is_refused(change, reason):
    """Functions, training, sparse constants, sizes that are not there, names that are there twice."""
    assert refusal(hostile.changed(change)).startswith(reason)


def test_too_many_nodes_are_refused():
    """Ten thousand are a hundred times what a pipeline writes."""

    def change(model):
        for _ in range(MAX_NODES):
            model.graph.node.add(op_type="Identity")

    assert refusal(hostile.changed(change)) == "the model has 10015 nodes, at most 10000 are taken"


def test_nesting_deeper_than_any_stack_is_refused():
    """The reader does not follow it down."""
    assert refusal(hostile.deeply_nested())


@pytest.mark.parametrize("name", [b"IsNaN", b"year", b"price"])
def test_a_name_that_is_no_text_is_refused(name):
    """Whose name it is, an operator's, an input's or an output's, there is a reason and no other error."""
    assert refusal(tiny.onnx_model(1).replace(name, b"\xff" * len(name)))


@pytest.mark.parametrize(
    ("model", "schema", "reason"),
    [
        (
            tiny.onnx_model(1, renamed={"miles": "km"}),
            tiny.SCHEMA,
            "input km is double in the model and missing in the manifest",
        ),
        (
            tiny.onnx_model(1, number=TensorProto.FLOAT),
            tiny.SCHEMA,
            "input guide is float in the model and double in the manifest",
        ),
        (
            tiny.onnx_model(1, number=TensorProto.BFLOAT16),
            tiny.SCHEMA,
            "input guide is of the element type 16 in the model and double in the manifest",
        ),
        (
            tiny.onnx_model(1),
            Schema(tiny.COLUMNS, "USD", ("price", "low", "high", "median")),
            "output median is missing in the model and double in the manifest",
        ),
        (
            tiny.onnx_model(1),
            Schema(tiny.COLUMNS, "USD", ("price", "low")),
            "output high is double in the model and missing in the manifest",
        ),
        (tiny.onnx_model(1, batch=1), tiny.SCHEMA, "the model's input year has shape [1, 1], it must be [N, 1]"),
        (
            hostile.changed(lambda m: m.graph.input[0].type.tensor_type.ClearField("shape")),
            tiny.SCHEMA,
            "the model's input year has shape [], it must be [N, 1]",
        ),
        (
            hostile.changed(lambda m: m.graph.output[0].type.tensor_type.shape.dim.add()),
            tiny.SCHEMA,
            "the model's output price has shape [N, 1, N], it must be [N, 1]",
        ),
        (
            hostile.changed(lambda m: m.graph.input[0].type.sequence_type.elem_type.tensor_type.shape.SetInParent()),
            tiny.SCHEMA,
            "input year is no tensor in the model and double in the manifest",
        ),
    ],
)
def test_a_signature_other_than_the_manifests_is_refused(model, schema, reason):
    """Names, element types and shapes; the reason says which and what."""
    assert refusal(model, schema) == reason


@pytest.mark.parametrize("columns", [(), (*tiny.COLUMNS, tiny.COLUMNS[0])])
def test_columns_that_make_no_sense_are_refused(columns):
    """No columns at all, or one twice."""
    reason = "the manifest's columns must be there, each with its own name"
    assert refusal(tiny.onnx_model(1), Schema(columns, "USD")) == reason


def test_a_tensor_that_is_given_twice_is_looked_at_twice():
    """onnxruntime makes one tensor of both; that the second is harmless says nothing about the first."""
    inside = onnx.load_from_string(hostile.with_node("Constant", [], value=helper.make_tensor("t", 11, [1], [1.0])))
    outside = helper.make_tensor("t", 11, [1], [1.0])
    outside.data_location = TensorProto.EXTERNAL
    attribute = helper.make_attribute("value", outside).SerializeToString()
    node = inside.graph.node.pop()
    both = hostile.field(5, attribute + node.attribute.pop().SerializeToString())
    graph = hostile.field(1, node.SerializeToString() + both)
    assert "lies outside" in refusal(inside.SerializeToString() + hostile.field(7, graph))


def test_an_unknown_kind_of_column_is_refused():
    """A manifest of a later format is not guessed at."""
    columns = (Column("year", "picture"), *tiny.COLUMNS[1:])
    reason = "input year is double in the model and missing in the manifest"
    assert refusal(tiny.onnx_model(1), Schema(columns, "USD")) == reason
