"""The learned ColumnTransformers as ONNX nodes: raw columns to codes, groups of codes to what is known of them.

Every operation is the one that Python does, in its order, so the features are equal to the last bit: a feature
that is off by one bit can take another branch of a tree. Not here: the same in Python (``category_codes.py``,
``peer_statistics.py``, ``group_effects.py``), how groups are looked up (``pipeline/onnx_groups.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import FunctionTransformer

from pipeline.category_codes import CategoryCodes
from pipeline.errors import ModelRefused
from pipeline.group_effects import GroupEffects
from pipeline.group_table import Group, GroupTable
from pipeline.onnx_graph import ML, GraphWriter, tensor
from pipeline.onnx_groups import Wanted, look_up
from pipeline.peer_statistics import PeerStatistics

Blocks = list[tuple[Any, list[Any]]]


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
    return all(is_plain(t) or isinstance(t, CategoryCodes | PeerStatistics | GroupEffects) for t, _ in blocks(model))


def write_columns(graph: GraphWriter, sources: Sources, model: ColumnTransformer, output: str) -> None:
    """The nodes from ``sources`` to ``output``, double [n, width of the ColumnTransformer].

    Raises:
        ModelRefused: a part cannot be written exactly.
    """
    parts: list[str] = []
    found = _groups(graph, sources, model)
    for transformer, columns in blocks(model):
        if isinstance(transformer, PeerStatistics):
            parts += _peers(graph, sources, transformer, columns, next(found))
        elif isinstance(transformer, GroupEffects):
            parts += _effects(graph, transformer, next(found))
        elif isinstance(transformer, CategoryCodes):
            parts += _codes(graph, sources, transformer, columns)
        else:
            parts += _plain(graph, sources, columns)
    graph.concat(parts, output)


def _groups(graph: GraphWriter, sources: Sources, model: ColumnTransformer) -> Iterator[str]:
    """What is known of the groups of each transformer that has groups, in their order; looked up all at once."""
    wanted = [
        Wanted([tuple(columns[i] for i in group) for group in groups], tables)
        for transformer, columns in blocks(model)
        if isinstance(transformer, PeerStatistics | GroupEffects)
        for groups, tables in [_members(transformer)]
    ]
    if wanted and sources.columns:
        raise ModelRefused("groups are of columns of numbers; turn the text columns to codes one step before")
    return iter(look_up(graph, sources.matrix, wanted) if wanted else [])


def _members(transformer: PeerStatistics | GroupEffects) -> tuple[list[Group], list[GroupTable]]:
    if isinstance(transformer, GroupEffects):
        return list(transformer.groups), transformer.tables_
    groups = [group for chain in transformer.chains for group in chain]
    return groups, [table for tables in transformer.tables_ for table in tables]


def _plain(graph: GraphWriter, sources: Sources, columns: list[Any]) -> list[str]:
    if sources.columns:
        return [sources.columns[name] for name in columns]
    return [_select(graph, sources, columns)]


def _select(graph: GraphWriter, sources: Sources, columns: Sequence[int]) -> str:
    if list(columns) == list(range(sources.width)):
        return sources.matrix
    return graph.node("Gather", sources.matrix, graph.constant(np.array(columns, np.int64)), axis=1)


def _codes(graph: GraphWriter, sources: Sources, model: CategoryCodes, columns: list[Any]) -> list[str]:
    if not sources.columns:
        raise ModelRefused("text columns must be turned to codes in the first step")
    pairs = zip(columns, model.lookups_, strict=True)
    return [_code(graph, sources.columns[name], lookup) for name, lookup in pairs]


def _code(graph: GraphWriter, text: str, lookup: dict[str, int]) -> str:
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


def _peers(graph: GraphWriter, sources: Sources, model: PeerStatistics, columns: list[int], found: str) -> list[str]:
    """For each chain the means of the finest group that is known, values divided by them, and the group's rows."""
    tables = sum(len(chain) for chain in model.chains)
    known = iter(graph.split(found, [len(model.columns), 1] * tables))
    values = _select(graph, sources, [columns[column] for column in model.columns])
    parts: list[str] = []
    for chain in model.chains:
        means, count = graph.constant(model.overall_.reshape(1, -1)), ""
        for _ in chain:
            finer, count = next(known), next(known)
            means = graph.node("Where", graph.node("IsNaN", finer), means, finer)
        parts += [means, graph.node("Div", values, means), count]
    return parts


def _effects(graph: GraphWriter, model: GroupEffects, effects: str) -> list[str]:
    """The effects and their sum; the operator Sum adds from left to right, as Python does."""
    single = graph.split(effects, [1] * len(model.groups))
    return [effects, graph.node("Sum", graph.constant(np.array([[model.center_]])), *single)]
