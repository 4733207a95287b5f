"""Peers' means, held against a slow and plain reference."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.peer_statistics import PeerStatistics
from tests.pipeline.grouped_rows import NAMES, NUMBERS, keys_of, matrix

PEERS = ((2,), (2, 3))


def slow_peers(known: np.ndarray[Any, Any], asked: np.ndarray[Any, Any], smoothing: float) -> np.ndarray[Any, Any]:
    """What PeerStatistics tells of one chain, with dicts and one row after the other."""
    means_of, ratios = np.empty((len(asked), len(NUMBERS))), np.empty((len(asked), len(NUMBERS)))
    for column in NUMBERS:
        overall = float(np.nanmean(known[:, column]))
        prior, found = [overall] * len(known), [overall] * len(asked)
        for group in PEERS:
            members = defaultdict(list)
            for row, key in enumerate(keys_of(known, known, group)):
                members[key].append(row)
            means = {}
            for key, which in members.items():
                values = [known[row, column] for row in which if not np.isnan(known[row, column])]
                towards = sum(prior[row] for row in which) / len(which)
                means[key] = (sum(values) + smoothing * towards) / (len(values) + smoothing)
            prior = [means[key] for key in keys_of(known, known, group)]
            found = [means.get(key, coarser) for key, coarser in zip(keys_of(asked, known, group), found, strict=True)]
        means_of[:, column], ratios[:, column] = found, asked[:, column] / found
    finest = keys_of(known, known, PEERS[-1])
    count = [finest.count(key) for key in keys_of(asked, known, PEERS[-1])]
    return np.column_stack([means_of, ratios, count])


def test_peers_are_what_the_slow_reference_finds() -> None:
    """Also for rows whose fine or coarse group was not seen."""
    X, _ = matrix(150)
    asked, _ = matrix(150, seed=1)
    asked[:5, 3] = 17
    asked[5:10, 2] = 17
    peers = PeerStatistics(NUMBERS, (PEERS,), smoothing=2.0).fit(X[X[:, 3] != 5])
    np.testing.assert_allclose(peers.transform(asked), slow_peers(X[X[:, 3] != 5], asked, 2.0), rtol=1e-12)


def test_each_chain_of_peers_stands_for_itself() -> None:
    """Two chains side by side tell what each tells alone."""
    X, _ = matrix(80)
    other = (PEERS[0],)
    both = PeerStatistics(NUMBERS, (PEERS, other)).fit(X).transform(X)
    alone = [PeerStatistics(NUMBERS, (chain,)).fit(X).transform(X) for chain in (PEERS, other)]
    np.testing.assert_array_equal(both, np.hstack(alone))


def test_peers_in_training_are_those_of_a_fit_on_all_other_rows() -> None:
    """A row in training sees what it would see if it came from outside."""
    X, _ = matrix(60)
    found = PeerStatistics(NUMBERS, (PEERS,)).fit_transform(X)
    top = np.nanmax(X, axis=0)
    for row in range(60):
        others = np.delete(X, row, axis=0)
        if (np.nanmax(others, axis=0)[2:] == top[2:]).all():  # the reference's rule for codes beyond the known ones
            np.testing.assert_allclose(found[[row]], slow_peers(others, X[[row]], 2.0), rtol=1e-9)


def test_a_rows_own_value_never_enters_its_peers_mean() -> None:
    """Ten times the value is ten times the ratio; the mean it is held against stays."""
    X, _ = matrix(60)
    before = PeerStatistics(NUMBERS, (PEERS,)).fit_transform(X)
    for row in range(0, 60, 7):
        changed = X.copy()
        changed[row, 0] *= 10
        after = PeerStatistics(NUMBERS, (PEERS,)).fit_transform(changed)
        np.testing.assert_allclose(after[row], before[row] * [1, 1, 10, 1, 1], rtol=1e-9)


def test_an_unseen_group_is_held_against_the_next_coarser_one() -> None:
    """Fine, coarse, all."""
    X = np.array([[10.0, 1, 0, 0], [20.0, 1, 0, 1], [60.0, 1, 1, 0]])
    peers = PeerStatistics((0,), (PEERS,), smoothing=1e-9).fit(X)
    asked = np.array([[30.0, 1, 0, 1], [30.0, 1, 0, 5], [30.0, 1, 9, 9]])
    told = peers.transform(asked)
    np.testing.assert_allclose(told, [[20, 30 / 20, 1], [15, 30 / 15, 0], [30, 30 / 30, 0]])


def test_what_is_not_known_has_no_ratio_and_a_column_of_nothing_no_warning() -> None:
    """NaN stays NaN, and a column that is unknown or zero everywhere is left as it is."""
    X = np.array([[np.nan, 0.0, 0, 0]] * 6)
    told = PeerStatistics(NUMBERS, (PEERS,)).fit_transform(X)
    assert np.isnan(told[:, 2]).all()
    assert (told[:, 3] == 0).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 40))
def test_the_same_rows_give_the_same_peers(seed: int, count: int) -> None:
    """To the last bit, also with few rows; and fitting alone ends in the same tables as fitting and transforming."""
    X, y = matrix(count, seed)
    one, other, third = (PeerStatistics(NUMBERS, (PEERS,)) for _ in range(3))
    np.testing.assert_array_equal(one.fit_transform(X, y), other.fit_transform(X, y))
    np.testing.assert_array_equal(one.transform(X), third.fit(X, y).transform(X))


def test_the_names_of_the_peers_features_come_from_the_columns() -> None:
    """Each says of what and among whom."""
    X, _ = matrix(20)
    assert list(PeerStatistics(NUMBERS, (PEERS,)).fit(X).get_feature_names_out(NAMES)) == [
        "miles_of_make_year",
        "guide_of_make_year",
        "miles_to_make_year",
        "guide_to_make_year",
        "rows_of_make_year",
    ]
