"""How a dataset is declared: columns, target, date, baseline, cleaning rules, encodings.

A dataset file (``pipeline/datasets/car_auctions.py``) makes one ``Dataset`` of these parts. Everything else
(validation, ColumnTransformer, ONNX inputs, MLflow signature, serving schema) is derived from it. No
third-party import here: the DAG file reads datasets while Airflow parses it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from pipeline.contract.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd


RESERVED = frozenset({"day", "actual", "price", "low", "high", "baseline", "reference", "all_effects"})


@dataclass(frozen=True, slots=True)
class Numeric:
    """A numeric column. ``missing`` are values that stand for "not known"; bounds are inclusive, in ``unit``."""

    name: str
    unit: str
    description: str
    minimum: float
    maximum: float
    example: float
    missing: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Categorical:
    """A text column. Case and outer blanks do not matter; ``missing`` are texts that stand for "not known"."""

    name: str
    description: str
    example: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SaleDate:
    """The column with the day of sale. Each pattern is a regular expression with the groups year, month, day;

    a month may be a number or an English name of three letters.
    """

    name: str
    patterns: tuple[str, ...] = (r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})",)


@dataclass(frozen=True, slots=True)
class Rule:
    """One cleaning rule on the parsed frame (numbers as float64, text as str, missing as NaN or "").

    ``apply`` returns a new frame; rows it leaves out count as dropped, cells it changes as mended. A rule with
    ``training_only`` is not applied to the rows that a model is scored on; one with ``uses_baseline`` is left out
    when the model is made without the baseline.
    """

    name: str
    description: str
    apply: Callable[[pd.DataFrame], pd.DataFrame]
    training_only: bool = False
    uses_baseline: bool = False


@dataclass(frozen=True, slots=True)
class Slice:
    """How metrics are split: by the values of ``column`` (or the target), or by bands between ``edges`` of it.

    With ``years_before_sale`` the column holds a year and the bands are of the age at the sale.
    """

    name: str
    column: str
    edges: tuple[float, ...] = ()
    years_before_sale: bool = False


@dataclass(frozen=True, slots=True)
class Dataset:
    """The declaration of one problem. ``name`` is the file's name; ``model_name`` is the registered model's.

    ``groups`` are the columns, alone or together, whose effect on the price is learned group by group. ``peers``
    are chains of groups of like things, coarse to fine, against whose mean each number is also looked at.
    ``reference``
    are the columns whose median target per group is the naive guess a model must beat. ``ignored`` are raw
    columns that are not used.
    """

    name: str
    model_name: str
    title: str
    date: SaleDate
    target: Numeric
    columns: tuple[Numeric | Categorical, ...]
    reference: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    peers: tuple[tuple[tuple[str, ...], ...], ...] = ()
    baseline: str | None = None
    ignored: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    slices: tuple[Slice, ...] = ()

    def __post_init__(self) -> None:
        _check(self)

    @property
    def raw_columns(self) -> tuple[str, ...]:
        """The columns a delivery must have, no more and no less."""
        names = [column.name for column in self.columns]
        return (*names, self.target.name, self.date.name, *self.ignored)

    def numeric(self) -> tuple[Numeric, ...]:
        return tuple(column for column in self.columns if isinstance(column, Numeric))

    def categorical(self) -> tuple[Categorical, ...]:
        return tuple(column for column in self.columns if isinstance(column, Categorical))

    def features(self, with_baseline: bool) -> tuple[Numeric | Categorical, ...]:
        """The columns a model takes, without the baseline column if it is to be left out."""
        return tuple(column for column in self.columns if with_baseline or column.name != self.baseline)

    def schema(self, with_baseline: bool) -> Schema:
        """The serving schema: what a request has, derived from the columns."""
        inputs = tuple(self._input(column) for column in self.features(with_baseline))
        return Schema(inputs=inputs, output_unit=self.target.unit)

    def _input(self, column: Numeric | Categorical) -> Column:
        if isinstance(column, Categorical):
            return Column(column.name, "categorical", column.description, example=column.example)
        return Column(
            column.name,
            "numeric",
            column.description,
            column.unit,
            column.minimum,
            column.maximum,
            required=column.name == self.baseline,
            example=column.example,
        )


def _check(dataset: Dataset) -> None:
    """A wrong declaration is found when its file is read, with the name of what is wrong."""
    _check_names(dataset)
    _check_uses(dataset)
    for chain in dataset.peers:
        for coarse, fine in pairwise(chain):
            if not set(coarse) < set(fine):
                raise ValueError(f"{dataset.name}: peers go from coarse to fine, but {fine} does not narrow {coarse}")


def _check_names(dataset: Dataset) -> None:
    for name in dataset.raw_columns:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"{dataset.name}: column {name!r} must be a plain word (letters, digits, _)")
        if name in RESERVED:
            raise ValueError(f"{dataset.name}: column {name!r} has a name that predictions use; call it otherwise")
        if dataset.raw_columns.count(name) > 1:
            raise ValueError(f"{dataset.name}: column {name!r} is declared twice")


def _check_uses(dataset: Dataset) -> None:
    names = [column.name for column in dataset.columns]
    groups = [*dataset.groups, *(group for chain in dataset.peers for group in chain), dataset.reference]
    used = {name for group in groups for name in group} | ({dataset.baseline} if dataset.baseline else set())
    used |= {part.column for part in dataset.slices} - {dataset.target.name}
    for name in sorted(used - set(names)):
        raise ValueError(f"{dataset.name}: {name!r} is used but is not one of the columns")
    if dataset.baseline in {name for group in groups for name in group}:
        raise ValueError(f"{dataset.name}: the baseline {dataset.baseline!r} cannot be in a group")
    if dataset.baseline and not any(column.name == dataset.baseline for column in dataset.numeric()):
        raise ValueError(f"{dataset.name}: the baseline {dataset.baseline!r} must be a numeric column")
