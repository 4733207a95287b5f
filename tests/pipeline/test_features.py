"""Codes of texts, tables of groups, peers' means and group effects, each held against a slow and plain reference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold

from pipeline.features import EFFECTS, CategoryCodes, GroupEffects, GroupTable, PeerStatistics, fold

Key = tuple[float | None, ...]
PEERS, NUMBERS, GROUPS = ((2,), (2, 3)), (0, 1), ((2,), (3,), (2, 3))


# --- codes of texts


def coded(seen: Sequence[str], asked: Sequence[str], missing: tuple[str, ...] = ()) -> list[float]:
    codes = CategoryCodes((missing,)).fit(pd.DataFrame({"a": list(seen)}, dtype=object))
    return list(codes.transform(pd.DataFrame({"a": list(asked)}, dtype=object))[:, 0])


@pytest.mark.parametrize("asked", ["Ford", "ford", "FORD", "land rover", "Land Rover", "LAND ROVER", "Land rover"])
def test_spellings_that_differ_in_case_share_a_code(asked: str) -> None:
    """Also a spelling that was not seen."""
    codes = coded(["Ford", "Land  Rover ", "Kia"], [asked, "kia"])
    assert codes[0] == coded(["Ford", "Land  Rover ", "Kia"], [fold(asked, frozenset())])[0] > 0
    assert codes[0] != codes[1]


def test_blanks_do_not_matter_in_what_was_seen() -> None:
    """Outer ones and two in a row."""
    assert len(set(coded(["a b", " a b", "a  b", "A B "], ["a b", " a b", "a  b", "A B ", "A B"]))) == 1


def test_an_unseen_text_has_code_0() -> None:
    """It is something else than "not known"."""
    unseen, empty, mark = coded(["red", "blue"], ["green", "", "-"], missing=("-",))
    assert unseen == 0
    assert empty == mark > 0


def test_all_marks_for_not_known_share_the_code_of_nothing() -> None:
    """Whether they were seen or not, in any case and with blanks if they were seen so."""
    codes = coded(["", "N/A", " n/a", "red", "-"], ["", "-", "n/a", "N/A", " n/a", "?"], missing=("-", "n/a", "?"))
    assert len(set(codes)) == 1
    assert codes[0] not in coded(["", "N/A", "red", "-"], ["red", "blue"], missing=("-", "n/a", "?"))


@given(st.lists(st.text("aAbB -\u00e9\u00c9", max_size=4), min_size=1, max_size=12))
def test_two_seen_texts_share_a_code_when_their_canonical_forms_are_equal(seen: list[str]) -> None:
    """And never else; no seen text has the code of an unseen one."""
    marks = ("-",)
    codes = coded(seen, seen, marks)
    canonical = [fold(text, frozenset(marks)) for text in seen]
    assert all(code > 0 for code in codes)
    for one, its_code in zip(canonical, codes, strict=True):
        for other, other_code in zip(canonical, codes, strict=True):
            assert (its_code == other_code) == (one == other)


def test_the_order_of_rows_does_not_matter_to_the_codes() -> None:
    """The same texts have the same codes on another day."""
    texts = ["Kia", "", "ford", "BMW", "Ford"]
    assert coded(texts, texts) == coded(texts[::-1], texts)


# --- tables of groups

VALUES = st.one_of(st.integers(0, 4).map(float), st.just(float("nan")))
ASKED = st.one_of(st.integers(-2, 7).map(float), st.just(float("nan")))


@given(
    st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=25),
    st.lists(st.tuples(ASKED, ASKED, ASKED), max_size=25),
)
def test_a_group_table_is_a_dict(seen: list[tuple[float, ...]], asked: list[tuple[float, ...]]) -> None:
    """Rows of one group have the same number, others another; a group that was not seen has 0.

    A value beyond those seen counts as not known.
    """
    known = np.array(seen)
    most = [max((v for v in column if not np.isnan(v)), default=-1) for column in known.T]

    def key(row: Iterable[float]) -> Key:
        return tuple(v if 0 <= v <= top else None for v, top in zip(row, most, strict=True))

    groups = {key(row) for row in seen}
    table = GroupTable(known)
    named = dict(zip(map(key, seen), table.rows(known).tolist(), strict=True))
    assert sorted(named.values()) == list(range(1, len(groups) + 1))
    table.table_ = np.arange(len(table.keys_) + 1.0).reshape(-1, 1)
    wanted = [named.get(key(row), 0) for row in asked]
    assert table.look_up(np.array(asked).reshape(-1, 3))[:, 0].tolist() == wanted


# --- rows for peers and effects


def matrix(count: int, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Two numbers with gaps, two columns of codes with rare and missing values; a target that depends on them."""
    random = np.random.default_rng(seed)
    groups = random.integers(0, 6, (count, 2)).astype(float)
    groups[random.random(count) < 0.03, 1] = np.nan
    numbers = random.lognormal(3, 0.5, (count, 2))
    numbers[random.random((count, 2)) < 0.1] = np.nan
    target = 1 + 0.1 * groups[:, 0] + 0.01 * np.nan_to_num(numbers[:, 1]) + random.normal(0, 0.1, count)
    return np.column_stack([numbers, groups]), target


def keys_of(X: np.ndarray[Any, Any], known: np.ndarray[Any, Any], group: Sequence[int]) -> list[Key]:
    """The group of each row; a value beyond those of ``known`` counts as not known."""
    most = np.nanmax(known[:, list(group)], axis=0)
    return [tuple(v if v <= top else None for v, top in zip(row, most, strict=True)) for row in X[:, list(group)]]


def folds(count: int) -> list[tuple[Any, Any]]:
    return list(KFold(5, shuffle=True, random_state=7).split(np.arange(count)))


# --- what is usual among peers


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


# --- effects of groups


def slow_effects(
    known: np.ndarray[Any, Any], y: np.ndarray[Any, Any], asked: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """What GroupEffects does (smoothing 10, three passes, clip 0.2), with dicts and one row after the other."""
    center = sum(y) / len(y)
    target = [min(max(value - center, -0.2), 0.2) for value in y]
    keys = [keys_of(known, known, group) for group in GROUPS]
    effects: list[dict[Key, float]] = [dict.fromkeys(of_group, 0.0) for of_group in keys]
    for _ in range(3):
        for i, of_group in enumerate(keys):
            sums: dict[Key, list[float]] = defaultdict(list)
            for row, key in enumerate(of_group):
                others = sum(effects[j][keys[j][row]] for j in range(len(keys)) if j != i)
                sums[key].append(target[row] - others)
            effects[i] = {key: sum(values) / (len(values) + 10) for key, values in sums.items()}
    found = [[e.get(key, 0.0) for key in keys_of(asked, known, g)] for e, g in zip(effects, GROUPS, strict=True)]
    return np.column_stack([*found, center + np.sum(found, axis=0)])


def test_effects_are_what_the_slow_reference_finds() -> None:
    """One column a group and the sum of all; a group that was not seen adds nothing."""
    X, y = matrix(150)
    asked, _ = matrix(60, seed=1)
    asked[:5, 2] = 17
    model = GroupEffects(GROUPS, clip=0.2).fit(X, y)
    found = model.transform(asked)
    np.testing.assert_allclose(found, slow_effects(X, y, asked), rtol=1e-9, atol=1e-12)
    assert (found[:5, [0, 2]] == 0).all()


def test_a_row_of_no_known_group_gets_the_mean() -> None:
    """Nothing is added to it, by no group."""
    X, y = matrix(100)
    X[:, 3] = np.nan_to_num(X[:, 3])
    assert GroupEffects(GROUPS).fit(X, y).transform(np.array([[1.0, 1, 99, 99]])).tolist() == [[0, 0, 0, y.mean()]]


def test_cross_fitted_effects_are_those_of_a_fit_on_the_other_folds() -> None:
    """A row in training sees what it would see if it came from outside."""
    X, y = matrix(150)
    found = GroupEffects(GROUPS, clip=0.2).fit_transform(X, y)
    for rest, part in folds(len(X)):
        wanted = slow_effects(X[rest], y[rest], X[part])
        np.testing.assert_allclose(found[part], wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("clip", [np.inf, 0.2])
def test_a_rows_own_target_never_enters_its_effects(clip: float) -> None:
    """It may be anything: the row's encodings stay the same, to the last bit."""
    X, y = matrix(60)
    before = GroupEffects(GROUPS, clip=clip).fit_transform(X, y)
    for row in range(0, 60, 7):
        changed = y.copy()
        changed[row] += 100
        after = GroupEffects(GROUPS, clip=clip).fit_transform(X, changed)
        assert after[row].tolist() == before[row].tolist()
        assert (after != before).any()


def test_a_first_model_leaves_to_the_groups_what_it_cannot_explain() -> None:
    """The effects are those of what is left of the target; the first model itself is not kept."""
    random = np.random.default_rng(0)
    X = np.column_stack([random.normal(size=400), random.integers(0, 2, 400)])
    y = 3 * X[:, 0] + 2 * X[:, 1]
    model = GroupEffects(((1,),), LinearRegression(), (0,), smoothing=1e-9).fit(X, y)
    low, high = model.transform(np.array([[0.0, 0.0], [0.0, 1.0]]))[:, 0]
    assert high - low == pytest.approx(2, abs=0.1)
    assert not hasattr(model.first, "coef_")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 40))
def test_the_same_rows_give_the_same_features(seed: int, count: int) -> None:
    """To the last bit, also with few rows; and fitting alone ends in the same tables as fitting and transforming."""
    X, y = matrix(count, seed)
    for make in (lambda: PeerStatistics(NUMBERS, (PEERS,)), lambda: GroupEffects(GROUPS)):
        one, other = make(), make()
        np.testing.assert_array_equal(one.fit_transform(X, y), other.fit_transform(X, y))
        np.testing.assert_array_equal(one.transform(X), make().fit(X, y).transform(X))


def test_the_names_of_the_features_come_from_the_columns() -> None:
    """The price model finds its baseline by name."""
    X, y = matrix(20)
    names = ["miles", "guide", "make", "year"]
    peers = PeerStatistics(NUMBERS, (PEERS,)).fit(X).get_feature_names_out(names)
    numbers = ("miles", "guide")
    finest = "_".join(names[column] for column in PEERS[-1])
    assert list(peers) == [
        *(f"{n}_of_{finest}" for n in numbers),
        *(f"{n}_to_{finest}" for n in numbers),
        f"rows_of_{finest}",
    ]
    effects = GroupEffects(GROUPS).fit(X, y).get_feature_names_out(names)
    assert list(effects) == ["make_effect", "year_effect", "make_year_effect", EFFECTS]
