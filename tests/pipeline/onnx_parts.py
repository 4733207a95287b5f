"""Runs a part of a graph on its own: nodes written by a GraphWriter, without skl2onnx, answered by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from pipeline.onnx_graph import ML, GraphWriter


class Collector:
    """Stands in for skl2onnx's scope and container."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._count = 0

    def get_unique_variable_name(self, word: str) -> str:
        self._count += 1
        return f"{word}_{self._count}"

    get_unique_operator_name = get_unique_variable_name

    def add_initializer(self, name, kind, shape, tensor):
        tensor.name = name
        self.constants.append(tensor)

    def add_node(self, op, inputs, outputs, *, op_domain, op_version, name, **attributes):
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, domain=op_domain, **attributes))


def answer(write: Callable[[GraphWriter], str], inputs: dict[str, np.ndarray]) -> np.ndarray:
    """What the nodes that ``write`` adds answer to ``inputs``; it gives the name of their output, of doubles."""
    collector = Collector()
    output = write(GraphWriter(collector, collector))
    kinds = {
        name: TensorProto.STRING if values.dtype == object else TensorProto.DOUBLE for name, values in inputs.items()
    }
    graph = helper.make_graph(
        collector.nodes,
        "part",
        [helper.make_tensor_value_info(name, kind, [None, inputs[name].shape[1]]) for name, kind in kinds.items()],
        [helper.make_tensor_value_info(output, TensorProto.DOUBLE, [None, None])],
        collector.constants,
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(ML, 5)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run([output], inputs)[0]
