"""Effects of groups, held against a slow and plain reference."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold

from pipeline.group_effects import EFFECTS, GroupEffects
from tests.pipeline.grouped_rows import NAMES, Key, keys_of, matrix

GROUPS = ((2,), (3,), (2, 3))


def folds(count: int) -> list[tuple[Any, Any]]:
    return list(KFold(5, shuffle=True, random_state=7).split(np.arange(count)))


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
def test_the_same_rows_give_the_same_effects(seed: int, count: int) -> None:
    """To the last bit, also with few rows; and fitting alone ends in the same tables as fitting and transforming."""
    X, y = matrix(count, seed)
    one, other, third = (GroupEffects(GROUPS) for _ in range(3))
    np.testing.assert_array_equal(one.fit_transform(X, y), other.fit_transform(X, y))
    np.testing.assert_array_equal(one.transform(X), third.fit(X, y).transform(X))


def test_the_names_of_the_effects_come_from_the_columns() -> None:
    """The price model finds the sum of all by its name when there is no baseline."""
    X, y = matrix(20)
    names = GroupEffects(GROUPS).fit(X, y).get_feature_names_out(NAMES)
    assert list(names) == ["make_effect", "year_effect", "make_year_effect", EFFECTS]
