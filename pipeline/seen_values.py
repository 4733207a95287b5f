"""What a model has seen, added to the declared schema: between which numbers is usual, which texts are known.

Not here: what a dataset declares (``pipeline/datasets``), or how a server tells of any other value (``serving``).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from pipeline.category_codes import CategoryCodes
from pipeline.contract.schema import Column, Schema
from pipeline.onnx_columns import blocks

USUAL_FROM, USUAL_TO = 0.001, 0.999
DIGITS = 4  # enough for a year
# A longer list would be a good part of what a release weighs. The 20,000 sellers of 80 real days take 0.6 MB.
MOST_KNOWN = 50_000

Texts = tuple[str, ...]


def with_seen(schema: Schema, pipeline: Pipeline, rows: pd.DataFrame) -> Schema:
    """The schema with the usual numbers of ``rows`` and the texts that the fitted ``pipeline`` has codes for.

    ``rows`` are those of the whole window, as the released model has learned from all of them (docs/adr/0005).
    """
    known = _known(pipeline)
    columns = (_seen(column, rows[column.name], known.get(column.name, ())) for column in schema.inputs)
    return replace(schema, inputs=tuple(columns))


def _seen(column: Column, values: pd.Series, known: Texts) -> Column:
    if column.kind == "categorical":
        return replace(column, known=known if len(known) <= MOST_KNOWN else ())
    numbers = values.to_numpy(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return column
    low = _rounded(float(np.quantile(numbers, USUAL_FROM, method="lower")), ROUND_FLOOR)
    high = _rounded(float(np.quantile(numbers, USUAL_TO, method="higher")), ROUND_CEILING)
    return replace(column, usual_minimum=low, usual_maximum=high)


def _rounded(value: float, way: str) -> float:
    """To ``DIGITS`` significant digits; a decimal number stays as short as it is written."""
    exact = Decimal(repr(value))
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() + 1 - DIGITS), rounding=way))


def _known(pipeline: Pipeline) -> dict[str, Texts]:
    """The spellings in the LabelEncoder of each text column, sorted as there; those of "not known" are among them."""
    return {
        column: tuple(sorted(lookup))
        for _, model in pipeline.steps
        if isinstance(model, ColumnTransformer)
        for transformer, columns in blocks(model)
        if isinstance(transformer, CategoryCodes)
        for column, lookup in zip(columns, transformer.lookups_, strict=True)
    }
