"""Rows for the tests of peers and of effects, and the groups that are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Key = tuple[float | None, ...]
NUMBERS, NAMES = (0, 1), ["miles", "guide", "make", "year"]


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
