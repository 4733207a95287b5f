"""Raw rows to clean ones, by the dataset's declaration, with a count of what each rule dropped or mended.

A clean frame has every declared column (float64 with NaN, or str with "" for "not known"), the target as
float64, and ``day`` (ISO date). Not here: reading partitions, splitting (``pipeline/preprocess.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pandera.pandas as pa

from pipeline.datasets.declaration import Dataset, Numeric, Rule
from pipeline.errors import DataInvalid

DAY = "day"


@dataclass(frozen=True, slots=True)
class RuleCount:
    """What one rule did: rows dropped, and cells of kept rows that were changed or set to "not known"."""

    rule: str
    description: str
    dropped: int
    mended: int


def clean(dataset: Dataset, raw: pd.DataFrame) -> tuple[pd.DataFrame, tuple[RuleCount, ...]]:
    """Clean rows and what was done to get them. ``raw`` has the declared columns and ``day``.

    Raises:
        DataInvalid: the result still breaks the declaration (a rule of the dataset is wrong).
    """
    raw, duplicates = _apply(Rule("duplicates", "the same row twice", lambda rows: rows[~rows.duplicated()]), raw)
    frame = _typed(dataset, raw)
    counts = [duplicates, _unreadable(dataset, raw, frame)]
    for rule in (*_first_rules(dataset), *_dataset_rules(dataset), *_last_rules(dataset)):
        frame, count = _apply(rule, frame)
        counts.append(count)
    _validate(dataset, frame)
    return frame.reset_index(drop=True), tuple(counts)


def for_training(
    dataset: Dataset, frame: pd.DataFrame, *, with_baseline: bool
) -> tuple[pd.DataFrame, tuple[RuleCount, ...]]:
    """The rows that a model may learn from: those left by the rules that hold for training only.

    The frame's index is kept.
    """
    counts = []
    for rule in dataset.rules:
        if rule.training_only and (with_baseline or not rule.uses_baseline):
            frame, count = _apply(rule, frame)
            counts.append(count)
    return frame, tuple(counts)


def _typed(dataset: Dataset, raw: pd.DataFrame) -> pd.DataFrame:
    columns: dict[str, pd.Series] = {DAY: raw[DAY].astype(str)}
    for column in (*dataset.columns, dataset.target):
        values = raw[column.name]
        if isinstance(column, Numeric):
            columns[column.name] = pd.to_numeric(values, errors="coerce").astype(np.float64)
        else:
            columns[column.name] = values.astype(object).where(values.notna(), "").astype(str)
    return pd.DataFrame(columns)


def _unreadable(dataset: Dataset, raw: pd.DataFrame, frame: pd.DataFrame) -> RuleCount:
    given = [raw[c.name].notna() & (raw[c.name].astype(str).str.strip() != "") for c in dataset.numeric()]
    unread = [int((there & frame[c.name].isna()).sum()) for c, there in zip(dataset.numeric(), given, strict=True)]
    return RuleCount("unreadable", "a number that cannot be read is not known", 0, sum(unread))


def _first_rules(dataset: Dataset) -> tuple[Rule, ...]:
    target = dataset.target

    def priced(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[frame[target.name].between(target.minimum, target.maximum)]

    def marks(frame: pd.DataFrame) -> pd.DataFrame:
        known = {c.name: frame[c.name].where(~frame[c.name].isin(c.missing)) for c in dataset.numeric() if c.missing}
        return frame.assign(**known)

    return (
        Rule("no_target", f"{target.name} missing or not {target.minimum:g} to {target.maximum:g}", priced),
        Rule("missing_marks", "a value that stands for not known", marks),
    )


def _dataset_rules(dataset: Dataset) -> tuple[Rule, ...]:
    return tuple(rule for rule in dataset.rules if not rule.training_only)


def _last_rules(dataset: Dataset) -> tuple[Rule, ...]:
    def in_range(frame: pd.DataFrame) -> pd.DataFrame:
        kept = {c.name: frame[c.name].where(frame[c.name].between(c.minimum, c.maximum)) for c in dataset.numeric()}
        return frame.assign(**kept)

    def with_baseline(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[frame[dataset.baseline].notna()] if dataset.baseline else frame

    return (
        Rule("out_of_range", "a number outside its declared range is not known", in_range),
        Rule("no_baseline", "the baseline is missing", with_baseline),
    )


def _apply(rule: Rule, frame: pd.DataFrame) -> tuple[pd.DataFrame, RuleCount]:
    after = rule.apply(frame)
    if changed := set(after.columns) ^ set(frame.columns):
        raise DataInvalid(f"the rule {rule.name!r} adds or loses a column: {', '.join(sorted(changed))}")
    before = frame if len(after) == len(frame) else frame.loc[after.index]
    mended = sum(_changed(before[name], after[name]) for name in frame.columns)
    return after, RuleCount(rule.name, rule.description, len(frame) - len(after), mended)


def _changed(before: pd.Series, after: pd.Series) -> int:
    same = (before == after) | (before.isna() & after.isna())
    return int((~same).sum())


def clean_schema(dataset: Dataset) -> pa.DataFrameSchema:
    """The pandera schema of a clean frame, derived from the declaration."""
    columns = {DAY: pa.Column(str), dataset.target.name: _in_range(dataset.target, nullable=False)}
    columns |= {column.name: pa.Column(str) for column in dataset.categorical()}
    columns |= {c.name: _in_range(c, nullable=c.name != dataset.baseline) for c in dataset.numeric()}
    return pa.DataFrameSchema(columns, strict=True)


def _in_range(column: Numeric, *, nullable: bool) -> pa.Column:
    return pa.Column(np.float64, pa.Check.in_range(column.minimum, column.maximum), nullable=nullable)


def _validate(dataset: Dataset, frame: pd.DataFrame) -> None:
    try:
        clean_schema(dataset).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases.groupby(["column", "check"], dropna=False).size()
        problems = "; ".join(f"{column}: {check} ({rows} rows)" for (column, check), rows in cases.items())
        raise DataInvalid(f"cleaned rows of {dataset.name} still break its declaration: {problems}") from error
