"""Is a delivery what the dataset declares? Checked on the raw rows, before they become a partition.

Single bad cells are let through, for the cleaning to count; what fails is a delivery that is wrong as a whole:
another set of columns, numbers written in another way, another unit. Not here: cleaning, or single values.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pandera.pandas as pa

from pipeline.datasets.declaration import Dataset, Numeric
from pipeline.errors import DataInvalid

# Parts of the given values that make a column wrong; a lone odd value in a thin day is no change of format.
UNREADABLE, OUT_OF_RANGE = 0.01, 0.20
LONE = 1
MOST_PROBLEMS = 10
NUMBER_PROBLEM = "cannot be read as numbers"
RANGE_PROBLEM = "are outside the declared range {low:g} to {high:g} {unit} (has the unit changed?)"


def check_raw(dataset: Dataset, rows: pd.DataFrame) -> None:
    """Passes silently when the columns are those declared (in any order) and numbers are numbers in their range.

    The range is looked at after the dataset's own rules, so that a scale which a rule mends is no error.

    Raises:
        DataInvalid: with every problem found, each naming its column.
    """
    if rows.columns.duplicated().any():
        raise DataInvalid(f"the column {rows.columns[rows.columns.duplicated()][0]!r} is there twice")
    failures = _failures(raw_schema(dataset), rows)
    problems = _column_problems(dataset, failures)
    if not problems:
        problems = _value_problems(dataset, rows, failures, UNREADABLE, NUMBER_PROBLEM)
    if not problems and len(rows):
        mended = _after_rules(dataset, rows)
        failures = _failures(range_schema(dataset), mended)
        problems = _value_problems(dataset, mended, failures, OUT_OF_RANGE, RANGE_PROBLEM)
    if problems:
        raise DataInvalid("; ".join(problems[:MOST_PROBLEMS]))


def raw_schema(dataset: Dataset) -> pa.DataFrameSchema:
    """The declared columns, no more and no less; numbers that can be read as such, also out of text."""
    numeric = {column.name for column in _numeric(dataset)}
    readable = pa.Check(lambda values: _numbers(values).notna() | _missing(values), name="number", ignore_na=False)
    columns = {
        name: pa.Column(nullable=True, checks=readable if name in numeric else None) for name in dataset.raw_columns
    }
    return pa.DataFrameSchema(columns, strict=True)


def range_schema(dataset: Dataset) -> pa.DataFrameSchema:
    """Each numeric column within its declared bounds."""
    columns = {
        column.name: pa.Column(
            np.float64, pa.Check.in_range(column.minimum, column.maximum, name="range"), nullable=True
        )
        for column in _numeric(dataset)
    }
    return pa.DataFrameSchema(columns)


def _numeric(dataset: Dataset) -> tuple[Numeric, ...]:
    return (*dataset.numeric(), dataset.target)


def _failures(schema: pa.DataFrameSchema, rows: pd.DataFrame) -> pd.DataFrame:
    """One line for each value or column that fails: ``column``, ``check``, ``failure_case``."""
    try:
        schema.validate(rows, lazy=True)
    except pa.errors.SchemaErrors as error:
        return error.failure_cases
    return pd.DataFrame({"column": [], "check": [], "failure_case": []})


def _column_problems(dataset: Dataset, failures: pd.DataFrame) -> list[str]:
    cases = failures.drop_duplicates(["check", "failure_case"])
    missing = list(cases["failure_case"][cases["check"] == "column_in_dataframe"])
    unknown = [str(name) for name in cases["failure_case"][cases["check"] == "column_in_schema"]]
    problems = [f"the column {name!r} is missing{_hint(name, unknown)}" for name in missing]
    return problems + [f"the column {name!r} is not declared{_hint(name, dataset.raw_columns)}" for name in unknown]


def _hint(name: str, others: Iterable[str]) -> str:
    """The nearest name, without regard to case and outer blanks."""
    plain = {other.strip().lower(): other for other in others}
    near = difflib.get_close_matches(name.strip().lower(), plain, n=1)
    return f" (nearest: {plain[near[0]]!r})" if near else ""


def _value_problems(
    dataset: Dataset, rows: pd.DataFrame, failures: pd.DataFrame, allowed: float, what: str
) -> list[str]:
    problems = []
    for column in _numeric(dataset):
        bad = failures[failures["column"] == column.name]
        given = int((~_missing(rows[column.name])).sum())
        if len(bad) > LONE and len(bad) > allowed * given:
            said = what.format(low=column.minimum, high=column.maximum, unit=column.unit)
            example = bad["failure_case"].iloc[0]
            problems.append(f"{column.name}: {len(bad)} of {given} values {said}, for example {example!r}")
    return problems


def _numbers(values: pd.Series) -> pd.Series:
    """Float64, NaN where there is no number. Dates and truth values are none."""
    if pd.api.types.is_datetime64_any_dtype(values) or pd.api.types.is_bool_dtype(values):
        return pd.Series(np.nan, index=values.index)
    return pd.to_numeric(values, errors="coerce").astype(np.float64)


def _missing(values: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values):
        return values.isna()
    return values.isna() | (values.astype(str).str.strip() == "")


def _after_rules(dataset: Dataset, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with numbers as float64 without the marks for "not known", and what the dataset's rules mend."""
    columns = {column.name: rows[column.name].astype(object).fillna("").astype(str) for column in dataset.categorical()}
    for column in _numeric(dataset):
        numbers = _numbers(rows[column.name])
        columns[column.name] = numbers.where(~numbers.isin(column.missing))
    frame = pd.DataFrame(columns)
    for rule in dataset.rules:
        frame = frame if rule.training_only else rule.apply(frame)
    return frame
