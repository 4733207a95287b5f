"""Writes ONNX nodes and constants under names that are free. Not here: what they compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import helper, numpy_helper

ML = "ai.onnx.ml"

# skl2onnx 1.20 refuses nodes of a later opset of this domain; pipeline/conversion.py declares the true one at the end.
MOST_SKL2ONNX_KNOWS = 3


class GraphWriter:
    """Nodes and constants of one converter, in skl2onnx's ``container`` and under the free names of its ``scope``."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope = scope
        self._container = container

    def name(self, word: str) -> str:
        """A free name that begins with ``word``."""
        return str(self._scope.get_unique_variable_name(word))

    def constant(self, values: npt.ArrayLike) -> str:
        """The name of a constant tensor with the shape and dtype of ``values``."""
        tensor = numpy_helper.from_array(np.asarray(values))
        name = self.name("constant")
        self._container.add_initializer(name, tensor.data_type, list(tensor.dims), tensor)
        return name

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """The name of the one output of a new node."""
        name = self.name(op.lower())
        self.write(op, inputs, (name,), domain=domain, **attributes)
        return name

    def write(
        self, op: str, inputs: tuple[str, ...], outputs: tuple[str, ...], *, domain: str = "", **attributes: Any
    ) -> None:
        """A new node with outputs of given names."""
        name = self._scope.get_unique_operator_name(op)
        version = MOST_SKL2ONNX_KNOWS if domain == ML else None
        self._container.add_node(
            op, list(inputs), list(outputs), op_domain=domain, op_version=version, name=name, **attributes
        )

    def split(self, name: str, widths: list[int]) -> list[str]:
        """[n, columns] cut into parts of these widths."""
        if len(widths) == 1:
            return [name]
        parts = tuple(self.name("part") for _ in widths)
        self.write("Split", (name, self.constant(np.array(widths, np.int64))), parts, axis=1)
        return list(parts)

    def concat(self, parts: list[str], output: str | None = None) -> str:
        """``parts`` side by side, [n, columns]; a single part stays itself unless ``output`` wants it by name."""
        if output is None and len(parts) == 1:
            return parts[0]
        name = output or self.name("concat")
        self.write("Concat", tuple(parts), (name,), axis=1)
        return name


def tensor(values: npt.ArrayLike) -> Any:
    """``values`` as an attribute of a node."""
    return numpy_helper.from_array(np.asarray(values))


def cast_type(dtype: npt.DTypeLike) -> int:
    """The ONNX number of a numpy dtype."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
