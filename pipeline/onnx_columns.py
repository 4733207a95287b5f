"""The learned ColumnTransformers as ONNX nodes: raw columns to codes, groups of codes to target statistics.

All groups of a ColumnTransformer share their nodes: a single row spends its time on the number of nodes.
Not here: the same in Python (``pipeline/features.py``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import FunctionTransformer

from pipeline.errors import ModelRefused
from pipeline.features import CategoryCodes, GroupEncoder
from pipeline.onnx_graph import ML, GraphWriter, cast_type, tensor

Blocks = list[tuple[Any, list[Any]]]

LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Sources:
    """What a ColumnTransformer reads: single columns [n, 1] by name, or one double matrix [n, width]."""

    columns: dict[str, str]
    matrix: str = ""
    width: int = 0


def blocks(model: ColumnTransformer) -> Blocks:
    """The fitted transformers with their columns, in the order of the output; without what is dropped."""
    fitted = [(transformer, list(columns)) for _, transformer, columns in model.transformers_]
    return [(t, columns) for t, columns in fitted if not (isinstance(t, str) and t == "drop") and columns]


def is_plain(transformer: Any) -> bool:
    """Whether a transformer gives its columns as they are."""
    if isinstance(transformer, FunctionTransformer):
        return transformer.func is None
    return isinstance(transformer, str) and transformer == "passthrough"


def is_known(model: ColumnTransformer) -> bool:
    """Whether every part of a ColumnTransformer is written here."""
    return all(is_plain(t) or isinstance(t, CategoryCodes | GroupEncoder) for t, _ in blocks(model))


def write_columns(graph: GraphWriter, sources: Sources, model: ColumnTransformer, output: str) -> None:
    """The nodes from ``sources`` to ``output``, double [n, width of the ColumnTransformer].

    Raises:
        ModelRefused: a part cannot be written exactly.
    """
    parts: list[str] = []
    for kind, members in itertools.groupby(blocks(model), key=_kind):
        parts += _WRITERS[kind[0]](graph, sources, list(members))
    graph.concat(parts, output)


def _kind(block: tuple[Any, list[Any]]) -> tuple[str, int]:
    transformer, _ = block
    if isinstance(transformer, GroupEncoder):
        return "groups", transformer.table_.shape[1]
    return ("plain" if is_plain(transformer) else "codes"), 0


def _plain(graph: GraphWriter, sources: Sources, members: Blocks) -> list[str]:
    columns = [column for _, chosen in members for column in chosen]
    if sources.columns:
        return [sources.columns[name] for name in columns]
    return [_select(graph, sources, columns)]


def _select(graph: GraphWriter, sources: Sources, columns: Sequence[int]) -> str:
    if not sources.matrix:
        raise ModelRefused("groups are of columns of numbers; turn the text columns to codes one step before")
    if list(columns) == list(range(sources.width)):
        return sources.matrix
    return graph.node("Gather", sources.matrix, graph.constant(np.array(columns, np.int64)), axis=1)


def _codes(graph: GraphWriter, sources: Sources, members: Blocks) -> list[str]:
    if not sources.columns:
        raise ModelRefused("text columns must be turned to codes in the first step")
    pairs = [pair for model, columns in members for pair in zip(model.lookups_, columns, strict=True)]
    return [_lookup(graph, sources.columns[name], lookup) for lookup, name in pairs]


def _lookup(graph: GraphWriter, text: str, lookup: dict[str, int]) -> str:
    """Text [n, 1] to double codes [n, 1]; 0 for a text that is not in ``lookup``."""
    spellings = sorted(lookup)
    return graph.node(
        "LabelEncoder",
        text,
        domain=ML,
        keys_tensor=tensor(np.array(spellings, dtype=object)),
        values_tensor=tensor(np.array([lookup[spelling] for spelling in spellings], np.float64)),
        default_tensor=tensor(np.zeros(1)),
    )


def _groups(graph: GraphWriter, sources: Sources, members: Blocks) -> list[str]:
    """All groups at once: codes, one number a group, its row in the stacked tables, their statistics."""
    encoders = [encoder for encoder, _ in members]
    inputs = [list(zip(columns, encoder.sizes_, strict=True)) for encoder, columns in members]
    distinct = sorted({pair for pairs in inputs for pair in pairs})
    codes = _integers(graph, _select(graph, sources, [c for c, _ in distinct]), [size for _, size in distinct])
    ranges = [math.prod(encoder.sizes_) for encoder in encoders]
    if sum(ranges) > LARGEST:
        raise ModelRefused("the crosses have more possible groups than a 64-bit number can count; cross fewer columns")
    firsts = np.array([0, *itertools.accumulate(ranges)][:-1], np.int64)
    strides = _strides(inputs, distinct)
    numbers = graph.node("MatMul", codes, graph.constant(strides))
    # The codes are one too small (see _integers), hence the strides' sum; each group has a range of its own.
    numbers = graph.node("Add", numbers, graph.constant(strides.sum(axis=0) + firsts))
    rows = _rows(graph, numbers, encoders, firsts)
    statistics = graph.node("Gather", graph.constant(np.vstack([e.table_ for e in encoders])), rows, axis=0)
    return [graph.node("Flatten", statistics, axis=1)]


def _integers(graph: GraphWriter, values: str, sizes: list[int]) -> str:
    """Double [n, columns] to int64: the value if it is a code below ``size - 1``, else (also for NaN) -1.

    Only values in range are cast: what becomes of others differs between processors.
    """
    least = graph.constant(np.float64(-1.0))
    above = graph.node("Greater", values, least)
    below = graph.node("Less", values, graph.constant(np.array(sizes, np.float64) - 1.0))
    known = graph.node("Where", graph.node("And", above, below), values, least)
    return graph.node("Cast", known, to=cast_type(np.int64))


def _strides(inputs: list[list[tuple[int, int]]], distinct: list[tuple[int, int]]) -> Any:
    """int64 [columns, groups]: how much one step of a column's code counts in a group's number."""
    strides = np.zeros((len(distinct), len(inputs)), np.int64)
    for group, pairs in enumerate(inputs):
        stride = 1
        for pair in reversed(pairs):
            strides[distinct.index(pair), group] += stride
            stride *= pair[1]
    return strides


def _rows(graph: GraphWriter, numbers: str, encoders: list[GroupEncoder], firsts: Any) -> str:
    """Group numbers [n, groups] to rows of the stacked tables; a group not seen gets its table's first row."""
    keys = np.concatenate([e.keys_ + first for e, first in zip(encoders, firsts, strict=True)])
    rows = np.concatenate([np.arange(1, len(e.keys_) + 1) for e in encoders])
    found = graph.node(
        "LabelEncoder",
        numbers,
        domain=ML,
        keys_tensor=tensor(keys.astype(np.int64)),
        values_tensor=tensor(rows.astype(np.int64)),
        default_tensor=tensor(np.zeros(1, np.int64)),
    )
    starts = np.cumsum([0, *(len(e.table_) for e in encoders)])[:-1]
    return graph.node("Add", found, graph.constant(starts.astype(np.int64)))


_WRITERS = {"plain": _plain, "codes": _codes, "groups": _groups}
