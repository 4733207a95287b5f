"""Models that nobody should load: the tiny model of ``tiny.py`` with one thing wrong."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.serving import tiny


def changed(change: Callable[[onnx.ModelProto], object], version: int = 1) -> bytes:
    """The tiny model after ``change``."""
    model = onnx.load_from_string(tiny.onnx_model(version))
    change(model)
    return model.SerializeToString()


def with_node(op: str, inputs=("zero",), domain="", **attributes) -> bytes:
    """The tiny model with one more node, whose answer nobody uses."""
    node = helper.make_node(op, list(inputs), ["unused"], name="extra", domain=domain, **attributes)
    return changed(lambda model: model.graph.node.append(node))


def with_constant(name: str, values) -> bytes:
    """The tiny model with a constant replaced."""

    def change(model):
        for tensor in model.graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(numpy_helper.from_array(np.asarray(values), name))

    return changed(change)


def asks_for_14_gb() -> bytes:
    """By an operator that makes something large out of one number."""
    return with_node("ConstantOfShape", ["giant"], value=helper.make_tensor("v", TensorProto.DOUBLE, [1], [1.0]))


def grows_within_the_allowed_operators() -> bytes:
    """[4e4, 1] + [1, 4e4]: 13 GB by an addition, which no list of operators can refuse."""
    side = np.zeros(40_000)
    constants = {"tall": side.reshape(-1, 1), "wide": side.reshape(1, -1)}
    return _added_to_price(constants, [helper.make_node("Add", ["tall", "wide"], ["large"])])


def takes_long(rounds: int = 600, side: int = 800) -> bytes:
    """Matrix products one after another, with nothing but allowed operators: minutes of processor time."""
    nodes = [helper.make_node("MatMul", ["guide_0", "wide"], ["m0"])]
    nodes += [helper.make_node("MatMul", [f"m{i}", "square"], [f"m{i + 1}"]) for i in range(rounds)]
    nodes[-1].output[0] = "large"
    return _added_to_price({"wide": np.zeros((1, side)), "square": np.zeros((side, side))}, nodes)


def _added_to_price(constants, nodes) -> bytes:
    """The tiny model whose price is what it was plus the sum of ``large``."""

    def change(model):
        model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
        margins = [model.graph.node.pop(), model.graph.node.pop()]  # low and high follow the price
        model.graph.node[-1].output[0] = "price_0"
        total = helper.make_node("ReduceSum", ["large"], ["total"], keepdims=0)
        last = helper.make_node("Add", ["price_0", "total"], ["price"])
        model.graph.node.extend([*nodes, total, last, *margins])

    return changed(change)


def subgraph() -> onnx.GraphProto:
    out = helper.make_tensor_value_info("o", TensorProto.DOUBLE, None)
    return helper.make_graph([helper.make_node("Identity", ["zero"], ["o"])], "g", [], [out])


def endless_loop() -> bytes:
    """A Loop whose condition never changes."""
    number = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    truth = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("c", "d")]
    body = helper.make_graph([helper.make_node("Identity", ["c"], ["d"])], "body", [number, truth[0]], [truth[1]])
    return with_node("Loop", ["most", "true"], body=body)


def external_data() -> Iterator[tuple[str, bytes]]:
    """Eight ways of asking for bytes that are not in the file."""
    for location in ("/etc/passwd", "../secret", "file:///etc/passwd", "http://127.0.0.1/x", "model.onnx", ""):
        yield location or "no location", _external(location)
    yield "only the flag", changed(lambda model: setattr(model.graph.initializer[0], "data_location", 1))
    tensor = numpy_helper.from_array(np.zeros(2), "t")
    _point_outside(tensor, "/etc/passwd")
    yield "in an attribute", with_node("Constant", [], value=tensor)


def _external(location: str) -> bytes:
    return changed(lambda model: _point_outside(model.graph.initializer[0], location))


def _point_outside(tensor: TensorProto, location: str) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def deeply_nested(depth: int = 30_000) -> bytes:
    """A graph in a node's attribute in a graph ..., deeper than any stack."""
    data = b""
    for level in range(depth):
        data = field((6, 5, 1)[level % 3], data)  # attribute.g, node.attribute, graph.node
    return tiny.onnx_model(1) + field(7, data)


def field(number: int, data: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def mutations(model: bytes, count: int, seed: int) -> Iterator[bytes]:
    """``model`` with bytes flipped, cut out, doubled or overwritten by another part of it."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(model)
        for _ in range(chance.choice((1, 1, 1, 3, 10))):
            _mutate(data, chance)
        yield bytes(data)


def _mutate(data: bytearray, chance: random.Random) -> None:
    at, other, size = chance.randrange(len(data)), chance.randrange(len(data)), chance.randrange(1, 20)
    match chance.randrange(4):
        case 0:
            data[at] ^= 1 << chance.randrange(8)
        case 1:
            data[at] = chance.randrange(256)
        case 2:
            del data[at : at + size]
        case 3:
            data[at:at] = data[other : other + size]
