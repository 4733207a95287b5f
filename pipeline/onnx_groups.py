"""Groups of integer-valued columns, looked up in tables, as ONNX nodes.

All groups share their nodes, because a single row spends its time on the number of nodes. Not here: the same in
Python (``GroupTable`` in ``pipeline/group_table.py``), what becomes of the answers (``pipeline/onnx_columns.py``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelRefused
from pipeline.group_table import Group, GroupTable
from pipeline.onnx_graph import ML, GraphWriter, cast_type, tensor

Integers = npt.NDArray[np.int64]
Pairs = list[tuple[int, int]]  # a column, and its number of codes in one group

LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """Groups of columns of one matrix, and the table of each; the tables have the same number of columns."""

    groups: Sequence[Group]
    tables: Sequence[GroupTable]


def look_up(graph: GraphWriter, matrix: str, wanted: Sequence[Wanted]) -> list[str]:
    """What the tables know of each row of ``matrix``: for each ``wanted`` double [n, its tables' columns side by side].

    Raises:
        ModelRefused: the groups have more possible members than a 64-bit number can count.
    """
    tables = [table for one in wanted for table in one.tables]
    members = [math.prod(table.sizes_) for table in tables]
    if sum(members) > LARGEST:
        raise ModelRefused("the groups have more possible members than a 64-bit number can count; cross fewer columns")
    firsts = _starts(members)
    numbers = _numbers(graph, matrix, [group for one in wanted for group in one.groups], tables, firsts)
    rows = graph.split(_rows(graph, numbers, tables, firsts), [len(one.tables) for one in wanted])
    return [_found(graph, some, one.tables) for some, one in zip(rows, wanted, strict=True)]


def _numbers(
    graph: GraphWriter, matrix: str, groups: Sequence[Group], tables: Sequence[GroupTable], firsts: Integers
) -> str:
    """int64 [n, groups]: which member of its group each row is, counted on from group to group."""
    inputs: list[Pairs] = [list(zip(g, t.sizes_, strict=True)) for g, t in zip(groups, tables, strict=True)]
    distinct = sorted({pair for pairs in inputs for pair in pairs})
    strides = _strides(inputs, distinct)
    numbers = graph.node("MatMul", _codes(graph, matrix, distinct), graph.constant(strides))
    # The codes are one too small (see _codes), hence the strides' sum.
    return graph.node("Add", numbers, graph.constant(strides.sum(axis=0) + firsts))


def _codes(graph: GraphWriter, matrix: str, distinct: Pairs) -> str:
    """int64 [n, len(distinct)]: a value that is a known code, less one; -1 for any other, NaN included.

    Only values in range are cast: what becomes of others differs between processors.
    """
    columns = graph.constant(np.array([column for column, _ in distinct], np.int64))
    # A column of no known code (size 1) has none for -0.5 either, which a cast would make 0.
    limits = graph.constant(np.array([size - 1.0 if size > 1 else -1.0 for _, size in distinct]))
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
    """int64 [n, groups]: the row of each group's table; the first row for a group that was not seen."""
    keys = np.concatenate([table.keys_ + first for table, first in zip(tables, firsts, strict=True)])
    rows = np.concatenate([np.arange(1, len(table.keys_) + 1, dtype=np.int64) for table in tables])
    return graph.node(
        "LabelEncoder",
        numbers,
        domain=ML,
        keys_tensor=tensor(keys),
        values_tensor=tensor(rows),
        default_tensor=tensor(np.zeros(1, np.int64)),
    )


def _found(graph: GraphWriter, rows: str, tables: Sequence[GroupTable]) -> str:
    stacked = np.vstack([table.table_ for table in tables])
    rows = graph.node("Add", rows, graph.constant(_starts([len(table.table_) for table in tables])))
    if stacked.shape[1] == 1:
        return graph.node("Gather", graph.constant(stacked[:, 0]), rows, axis=0)
    return graph.node("Flatten", graph.node("Gather", graph.constant(stacked), rows, axis=0), axis=1)


def _starts(lengths: Sequence[int]) -> Integers:
    """Where each part begins when parts of these lengths lie one after another."""
    return np.array([0, *itertools.accumulate(lengths)][:-1], np.int64)
