"""Groups of integer-valued columns, looked up in tables, as ONNX nodes.

All groups share their nodes, because a single row spends its time on the number of nodes. Not here: the same in
Python (``GroupTable`` in ``pipeline/features.py``), what becomes of the answers (``pipeline/onnx_columns.py``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelRefused
from pipeline.features import Group, GroupTable
from pipeline.onnx_graph import ML, GraphWriter, cast_type, tensor

Integers = npt.NDArray[np.int64]
Pairs = list[tuple[int, int]]  # a column, and its number of codes in one group

LARGEST = 2**63 - 1


def look_up(graph: GraphWriter, matrix: str, groups: Sequence[Group], tables: Sequence[GroupTable]) -> list[str]:
    """For each group what its table, of m columns, knows of each row of ``matrix``: double [n, m] each.

    Raises:
        ModelRefused: the groups have more possible members than a 64-bit number can count.
    """
    inputs: list[Pairs] = [
        list(zip(group, table.sizes_, strict=True)) for group, table in zip(groups, tables, strict=True)
    ]
    distinct = sorted({pair for pairs in inputs for pair in pairs})
    members = [math.prod(table.sizes_) for table in tables]
    if sum(members) > LARGEST:
        raise ModelRefused("the groups have more possible members than a 64-bit number can count; cross fewer columns")
    firsts = _starts(members)
    strides = _strides(inputs, distinct)
    numbers = graph.node("MatMul", _codes(graph, matrix, distinct), graph.constant(strides))
    # The codes are one too small (see _codes), hence the strides' sum; each group has a range of its own.
    numbers = graph.node("Add", numbers, graph.constant(strides.sum(axis=0) + firsts))
    rows = _rows(graph, numbers, tables, firsts)
    found = graph.node("Gather", graph.constant(np.vstack([table.table_ for table in tables])), rows, axis=0)
    return graph.split(graph.node("Flatten", found, axis=1), len(tables))


def _codes(graph: GraphWriter, matrix: str, distinct: Pairs) -> str:
    """int64 [n, len(distinct)]: a value that is a known code, less one; -1 for any other, NaN included.

    Only values in range are cast: what becomes of others differs between processors.
    """
    columns = graph.constant(np.array([column for column, _ in distinct], np.int64))
    limits = graph.constant(np.array([size for _, size in distinct], np.float64) - 1.0)
    least = graph.constant(np.float64(-1.0))
    values = graph.node("Gather", matrix, columns, axis=1)
    known = graph.node("And", graph.node("Greater", values, least), graph.node("Less", values, limits))
    return graph.node("Cast", graph.node("Where", known, values, least), to=cast_type(np.int64))


def _strides(inputs: list[Pairs], distinct: Pairs) -> Integers:
    """int64 [columns, groups]: how much one step of a column's code counts in a group's number."""
    strides = np.zeros((len(distinct), len(inputs)), np.int64)
    for group, pairs in enumerate(inputs):
        stride = 1
        for pair in reversed(pairs):
            strides[distinct.index(pair), group] += stride
            stride *= pair[1]
    return strides


def _rows(graph: GraphWriter, numbers: str, tables: Sequence[GroupTable], firsts: Integers) -> str:
    """Group numbers [n, groups] to rows of the stacked tables; a group not seen gets its table's first row."""
    keys = np.concatenate([table.keys_ + first for table, first in zip(tables, firsts, strict=True)])
    rows = np.concatenate([np.arange(1, len(table.keys_) + 1, dtype=np.int64) for table in tables])
    found = graph.node(
        "LabelEncoder",
        numbers,
        domain=ML,
        keys_tensor=tensor(keys),
        values_tensor=tensor(rows),
        default_tensor=tensor(np.zeros(1, np.int64)),
    )
    return graph.node("Add", found, graph.constant(_starts([len(table.table_) for table in tables])))


def _starts(lengths: Sequence[int]) -> Integers:
    """Where each part begins when parts of these lengths lie one after another."""
    return np.array([0, *itertools.accumulate(lengths)][:-1], np.int64)
