"""Partitions: the same rows are the same partition however they arrive, other rows are a new version."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import partitions
from pipeline.contract.bundle import sha256
from pipeline.errors import DataInvalid
from pipeline.partitions import canonical, keep, newest_partitions, read_partition, read_window, write_window
from pipeline.sources.tables import rows_of
from pipeline.store import Store, open_store
from tests.pipeline.auction_rows import DATASET, SUNDAY, TUESDAY, WEDNESDAY, as_csv, sales


def digest(rows: pd.DataFrame) -> str:
    return sha256(partitions._bytes(canonical(DATASET, rows)))


TYPED = pd.concat([sales(rows=12), sales(rows=3)], ignore_index=True).assign(color=[None, "red", "—"] * 5)
TYPED.loc[3, ["odometer", "condition"]] = np.nan
DELIVERIES = {"typed": TYPED, "text": rows_of(as_csv(TYPED), "f.csv")}


@settings(max_examples=100, deadline=None)
@given(
    order=st.permutations(range(len(TYPED))),
    columns=st.permutations(list(DATASET.raw_columns)),
    cuts=st.sets(st.integers(1, len(TYPED) - 1), max_size=4),
    kind=st.sampled_from(["typed", "text"]),
)
def test_any_order_and_any_parts_of_the_same_rows_have_the_same_digest(
    order: list[int], columns: list[str], cuts: set[int], kind: str
) -> None:
    """Rows shuffled, columns shuffled, delivered in parts that guess their own types: the same bytes."""
    rows = DELIVERIES[kind]
    shuffled = rows.iloc[list(order)][list(columns)]
    edges = [0, *sorted(cuts), len(rows)]
    parts = [shuffled.iloc[a:b].reset_index(drop=True) for a, b in pairwise(edges)]
    parts = [part.astype({c: object for c in part if part[c].isna().all()}) for part in parts]
    parts = [part.convert_dtypes() if kind == "text" else part for part in parts]
    assert digest(pd.concat(parts, ignore_index=True).astype(object) if len(parts) > 1 else parts[0]) == digest(rows)


def test_one_changed_cell_changes_the_digest() -> None:
    """Whatever the column."""
    for name in DATASET.raw_columns:
        changed = TYPED.copy()
        changed.loc[5, name] = changed[name].iloc[0] if changed[name].iloc[0] != changed[name].iloc[5] else None
        if name not in ("year", "mmr", "sellingprice"):
            assert digest(changed) != digest(TYPED), name


def test_rows_come_back_as_they_were_delivered(store: Store) -> None:
    """Numbers as float64, dates as dates, text as text with what was missing still missing."""
    kept = keep(store, DATASET, TUESDAY, TYPED)
    rows = read_partition(store, kept)
    expected = TYPED.sort_values(list(DATASET.raw_columns), ignore_index=True)
    assert kept.rows == len(rows) == len(TYPED)
    for name in DATASET.raw_columns:
        assert rows[name].isna().sum() == TYPED[name].isna().sum()
        assert sorted(rows[name].dropna()) == sorted(expected[name].dropna())
    assert rows["year"].dtype == rows["odometer"].dtype == np.float64
    text = read_partition(store, keep(store, DATASET, WEDNESDAY, DELIVERIES["text"]))
    assert sorted(text["odometer"]) == sorted(DELIVERIES["text"]["odometer"])


def test_the_same_rows_are_the_same_partition_and_others_a_new_version(store: Store) -> None:
    """A corrected delivery does not overwrite what a model may have learned from."""
    first = keep(store, DATASET, TUESDAY, TYPED)
    assert keep(store, DATASET, TUESDAY, TYPED.iloc[::-1]) == first
    second = keep(store, DATASET, TUESDAY, TYPED.assign(mmr=1))
    assert (first.version, second.version) == (1, 2)
    assert newest_partitions(store, DATASET.name, [TUESDAY, WEDNESDAY]) == {"2026-03-03": second}
    assert len(read_partition(store, first)) == len(TYPED)
    assert keep(store, DATASET, TUESDAY, TYPED).version == 3


def test_rows_that_another_parquet_library_wrote_are_the_same_rows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the file's bytes differ: no new version."""
    first = keep(store, DATASET, TUESDAY, TYPED)
    monkeypatch.setattr(partitions, "_bytes", lambda table, f=partitions._bytes: f(table) + b"x")
    assert keep(store, DATASET, TUESDAY, TYPED) == first


def test_two_runs_that_keep_a_day_at_once_do_not_overwrite_each_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes second looks again: the same rows are found, other rows become the next version."""
    other = open_store(store.uri)
    look = partitions._newest

    def look_then_lose(*arguments: object) -> object:
        found = look(*arguments)
        monkeypatch.setattr(partitions, "_newest", look)
        keep(other, DATASET, TUESDAY, TYPED)
        return found

    monkeypatch.setattr(partitions, "_newest", look_then_lose)
    assert keep(store, DATASET, TUESDAY, TYPED.assign(mmr=1)).version == 2


def test_a_changed_file_is_not_read(store: Store) -> None:
    """A partition is verified each time it is read."""
    kept = keep(store, DATASET, TUESDAY, TYPED)
    key = f"{kept.prefix}/rows.parquet"
    store.replace(key, store.read(key).data + b"x", store.read(key).etag)
    with pytest.raises(DataInvalid, match="changed after it was written"):
        read_partition(store, kept)


def test_a_window_lists_its_partitions_by_day(store: Store) -> None:
    """The same partitions give the same reference, in whatever order."""
    kept = [keep(store, DATASET, day, TYPED) for day in (WEDNESDAY, TUESDAY)]
    window = write_window(store, DATASET.name, kept)
    assert write_window(store, DATASET.name, kept[::-1]) == window
    assert read_window(store, window) == (kept[1], kept[0])


def test_an_empty_day_is_a_partition_without_rows(store: Store) -> None:
    """It has the declared columns."""
    kept = keep(store, DATASET, SUNDAY, pd.DataFrame())
    assert kept.rows == 0
    assert list(read_partition(store, kept).columns) == list(DATASET.raw_columns)
