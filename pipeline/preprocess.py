"""A window's partitions to matrices: clean, split by time, fit the ColumnTransformers on what may be learned from.

Two fits are kept: ``evaluation``, which has seen neither the calibration days nor the newest (test) days, and
``release``, which has seen all (docs/adr/0005). Not here: any model of the price (``pipeline/train.py``).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline

from pipeline.category_codes import CategoryCodes
from pipeline.cleaning import DAY, RuleCount, clean, for_training
from pipeline.contract.bundle import to_json
from pipeline.datasets.declaration import Categorical, Dataset, Numeric
from pipeline.group_effects import GroupEffects
from pipeline.group_table import Group
from pipeline.partitions import Partition, read_partition, read_window
from pipeline.peer_statistics import PeerStatistics
from pipeline.store import Store
from pipeline.workspace import Ref, Workspace, code_digest, key_of, lock_digest

Floats = npt.NDArray[np.float64]

ROWS, FACTS = "rows.parquet", "facts.json"
LEAST_DAYS, LEAST_ROWS, LEAST_TRAIN_ROWS = 3, 200, 100
TEST_ROWS, CALIBRATION_ROWS, LARGEST_SHARE = 2_000, 4_000, 0.2


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may choose about a model. ``source`` is the kind of source, such as ``simulated``."""

    with_baseline: bool = True
    seed: int = 7
    source: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """The days of each part, oldest first; every day of a window is in one of them."""

    train: tuple[str, ...]
    calibration: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Where the matrices are; ``prefix`` is empty when the window has too little to learn from."""

    prefix: str
    digest: str
    message: str


def preprocess(dataset: Dataset, store: Store, window: Ref, options: Options) -> Prepared:
    """The matrices of a window; found again if they were made before.

    Raises:
        DataInvalid: a partition was changed after it was written, or cleaning breaks the declaration.
    """
    partitions = read_window(store, window)
    workspace = Workspace(store, f"prepared/{dataset.name}")
    key = key_of("preprocess", window.digest, asdict(options), code_digest())
    ref = workspace.find(key)
    if ref is None:
        found = _learnable(dataset, store, partitions, options)
        if isinstance(found, str):
            return Prepared("", "", f"too little to learn from yet: {found}")
        ref = workspace.publish(key, _files(dataset, window, partitions, options, found))
    rows = sum(partition.rows for partition in partitions)
    return Prepared(ref.prefix, ref.digest, f"{rows:,} rows of {len(partitions)} sale days")


def split_days(rows_per_day: dict[str, int]) -> Split:
    """The newest days as test, those before as calibration, the rest to train on.

    Each of the two takes whole days until it has enough rows, but no day after it has a fifth of all.
    """
    days, total = sorted(rows_per_day), sum(rows_per_day.values())
    first_test = _first_of(days, rows_per_day, min(TEST_ROWS, LARGEST_SHARE * total))
    first_test = max(first_test, 2)  # a day is left for each of the other parts
    before = days[:first_test]
    first_calibration = max(_first_of(before, rows_per_day, min(CALIBRATION_ROWS, LARGEST_SHARE * total)), 1)
    return Split(tuple(before[:first_calibration]), tuple(before[first_calibration:]), tuple(days[first_test:]))


def _first_of(days: Sequence[str], rows_per_day: dict[str, int], enough: float) -> int:
    """The index of the day from which on, to the last, there are enough rows."""
    rows = 0
    for index in range(len(days) - 1, -1, -1):
        rows += rows_per_day[days[index]]
        if rows >= enough:
            return index
    return 0


def build_transformer(dataset: Dataset, options: Options) -> Pipeline:
    """The unfitted ColumnTransformers of clean rows to one dense matrix of doubles.

    First codes for texts, then what is usual among a row's peers, then the effects of groups. The target to fit
    it with is the price relative to the baseline or, without one, the price's logarithm.
    """
    features = dataset.features(options.with_baseline)
    numeric = [column.name for column in features if isinstance(column, Numeric)]
    text = [column for column in features if isinstance(column, Categorical)]
    names = [*numeric, *(column.name for column in text)]
    numbers, everything = list(range(len(numeric))), list(range(len(names)))
    texts = CategoryCodes(tuple(column.missing for column in text))
    codes = _columns([("numeric", "passthrough", numeric), ("text", texts, [column.name for column in text])])
    steps = [("codes", codes)]
    told, first = numbers, numbers
    if dataset.peers:
        peers = PeerStatistics(tuple(numbers), tuple(_indices(names, chain) for chain in dataset.peers))
        steps.append(("peers", _columns([("all", "passthrough", everything), ("peers", peers, everything)])))
        told = [*numbers, *range(len(names), len(names) + len(dataset.peers) * (2 * len(numbers) + 1))]
        first = [
            *numbers,
            *range(len(names) + len(numbers), len(names) + 2 * len(numbers)),
        ]  # ratios to the first peers
    effects = _effects(dataset, options, _indices(names, dataset.groups), tuple(first))
    known = list(range(max(*everything, *told) + 1))
    return Pipeline([*steps, ("effects", _columns([("plain", "passthrough", told), ("effects", effects, known)]))])


def _columns(parts: list[tuple[str, Any, Any]]) -> ColumnTransformer:
    """Columns keep their own names from step to step: the price model finds the baseline by its name."""
    return ColumnTransformer(parts, verbose_feature_names_out=False)


def _effects(dataset: Dataset, options: Options, groups: tuple[Group, ...], numbers: Group) -> GroupEffects:
    """The effects on the ratio to the baseline, of what the numbers do not explain; or on the logarithm of a price.

    The settings were chosen on real auction sales (docs/adr/0009).
    """
    if not (options.with_baseline and dataset.baseline):
        return GroupEffects(groups, smoothing=1.0, seed=options.seed)
    first = HistGradientBoostingRegressor(max_iter=80, min_samples_leaf=50, early_stopping=False, random_state=0)
    return GroupEffects(groups, first, numbers, smoothing=10.0, clip=0.6, seed=options.seed)


def relative_target(dataset: Dataset, options: Options, rows: pd.DataFrame) -> Floats:
    """What the effects are learned of: the price over the baseline, or the logarithm of the price."""
    price = rows[dataset.target.name].to_numpy(np.float64)
    if options.with_baseline and dataset.baseline:
        return np.asarray(price / rows[dataset.baseline].to_numpy(np.float64))
    return np.asarray(np.log(price))


def _indices(names: Sequence[str], groups: Iterable[Sequence[str]]) -> tuple[Group, ...]:
    return tuple(tuple(names.index(name) for name in group) for group in groups)


@dataclass(frozen=True, slots=True)
class _Learnable:
    """A window's clean rows, those of them that may be learned from, the days' split, and what cleaning did."""

    rows: pd.DataFrame
    learn: pd.DataFrame
    split: Split
    counts: tuple[RuleCount, ...]


def _learnable(dataset: Dataset, store: Store, partitions: Sequence[Partition], options: Options) -> _Learnable | str:
    """The window made ready to learn from or, in words, why it is too little."""
    few = _too_few({part.day: part.rows for part in partitions}, "rows")
    if few:
        return few
    raw = pd.concat([read_partition(store, part).assign(**{DAY: part.day}) for part in partitions], ignore_index=True)
    rows, counts = clean(dataset, raw)
    per_day = {str(day): int(count) for day, count in rows[DAY].value_counts().items()}
    few = _too_few(per_day, "clean rows")
    if few:
        return few
    split = split_days(per_day)
    learn, more_counts = for_training(dataset, rows, with_baseline=options.with_baseline)
    train = int(learn[DAY].isin(split.train).sum())
    if train < LEAST_TRAIN_ROWS:
        return f"{train} rows until {split.train[-1]}, before the days to test on; {LEAST_TRAIN_ROWS} are needed"
    return _Learnable(rows, learn, split, (*counts, *more_counts))


def _too_few(per_day: dict[str, int], what: str) -> str:
    days, rows = len(per_day), sum(per_day.values())
    if days >= LEAST_DAYS and rows >= LEAST_ROWS:
        return ""
    return f"{days} sale days with {rows} {what}; at least {LEAST_DAYS} days and {LEAST_ROWS} rows are needed"


def _files(
    dataset: Dataset, window: Ref, partitions: Sequence[Partition], options: Options, found: _Learnable
) -> dict[str, bytes]:
    rows, learn, split = found.rows, found.learn, found.split
    parts = {name: rows[rows[DAY].isin(days)] for name, days in asdict(split).items()}
    train = learn[learn[DAY].isin(split.train)]
    evaluation = _fit(dataset, options, train, {name: parts[name] for name in ("calibration", "test")})
    release = _fit(dataset, options, learn, {})
    facts = {
        "data_day": partitions[-1].day,
        "options": asdict(options),
        "split": asdict(split),
        "rows": {"all": len(rows), "train": len(train), **{n: len(parts[n]) for n in ("calibration", "test")}},
        "cleaning": {c.rule: {"dropped": c.dropped, "mended": c.mended} for c in found.counts},
        "lineage": _lineage(dataset, window, partitions, options),
    }
    return {
        **{f"evaluation{name}": data for name, data in evaluation.items()},
        **{f"release{name}": data for name, data in release.items()},
        ROWS: _parquet(rows),
        FACTS: to_json(facts),
    }


def _fit(dataset: Dataset, options: Options, train: pd.DataFrame, others: dict[str, pd.DataFrame]) -> dict[str, bytes]:
    """A transformer fitted on ``train``, and the matrices and prices of it and the other parts."""
    columns = [column.name for column in dataset.features(options.with_baseline)]
    transformer = build_transformer(dataset, options)
    matrices = {"train": transformer.fit_transform(train[columns], relative_target(dataset, options, train))}
    matrices |= {name: transformer.transform(rows[columns]) for name, rows in others.items()}
    arrays = {f"{name}_X": matrix for name, matrix in matrices.items()}
    arrays |= {f"{name}_y": rows[dataset.target.name].to_numpy(np.float64) for name, rows in others.items()}
    arrays["train_y"] = train[dataset.target.name].to_numpy(np.float64)
    model, matrix = io.BytesIO(), io.BytesIO()
    joblib.dump(transformer, model)
    np.savez(matrix, **arrays)
    return {".joblib": model.getvalue(), ".npz": matrix.getvalue()}


def _parquet(rows: pd.DataFrame) -> bytes:
    data = io.BytesIO()
    rows.to_parquet(data, index=False, compression="zstd")
    return data.getvalue()


def _lineage(dataset: Dataset, window: Ref, partitions: Sequence[Partition], options: Options) -> dict[str, Any]:
    return {
        "dataset": dataset.name,
        "source": options.source,
        "days": [[part.day, part.version, part.rows, part.sha256] for part in partitions],
        "rows": sum(part.rows for part in partitions),
        "window_digest": window.digest,
        "code": code_digest(),
        "lock": lock_digest(),
        "seed": options.seed,
        "with_baseline": options.with_baseline,
    }
