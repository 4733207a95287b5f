"""The gate before real fitted models: good ones pass, and each kind of bad one is refused for what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contract import certificate as certificates
from pipeline.contract.certificate import Certificate
from pipeline.gate import gate
from pipeline.store import Store, open_store
from tests.pipeline.auction_rows import DATASET
from tests.pipeline.judged_models import ENFORCE, Made, make, make_live, read, scaled, slowed, spoilt
from tests.pipeline.noted_registry import NotedRegistry
from tests.pipeline.small_window import DAYS


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """With a good champion of all days but the newest."""
    path: Path = tmp_path_factory.mktemp("gate")
    made = open_store(f"file:{path}/store")
    make_live(made, read(made, make(made, days=DAYS[:-1])))
    return made


@pytest.fixture(scope="module")
def good(store: Store) -> Made:
    return make(store)


def judged(store: Store, made: Made, version: int = 2) -> Certificate:
    registry = NotedRegistry()
    gate(DATASET, store, registry, made.bundle, made.trained, version, ENFORCE)
    return certificates.read(registry.files[version]["certificate/certificate.json"])


def failed(certificate: Certificate) -> dict[str, str]:
    return {check.name: check.text for check in certificate.checks if not check.passed}


def test_a_good_model_passes_beside_a_champion(store: Store, good: Made) -> None:
    """Every check has its say; the champion is asked about the same newest rows."""
    found = judged(store, good)
    assert failed(found) == {}
    assert found.allowed
    names = [check.name for check in found.checks]
    assert len(set(names)) == len(names) == 18
    champion = next(check for check in found.checks if check.name == "champion")
    assert "the same 1" in champion.text  # 130 rows, less those that are no sales


@pytest.mark.parametrize("seed", range(3))
def test_a_good_model_passes_whatever_the_seed(store: Store, seed: int) -> None:
    """A few; 20 are in docs/reliability.md."""
    assert failed(judged(store, make(store, seed=100 + seed), 10 + seed)) == {}


def test_a_model_of_shuffled_prices_is_refused(store: Store) -> None:
    """It has learned nothing: worse than the guide price and than the champion."""

    def shuffled(day: date, rows: pd.DataFrame) -> pd.DataFrame:
        if day >= DAYS[-2]:
            return rows
        prices = np.random.default_rng(day.day).permutation(rows["sellingprice"].to_numpy())
        return rows.assign(sellingprice=prices)

    found = failed(judged(store, make(store, shuffled), 3))
    assert "is not below the baseline's" in found["baseline"]
    assert "beyond" in found["champion"]


def test_a_model_that_was_given_the_answer_is_refused(store: Store) -> None:
    """A column that is made of the price, give or take a thousandth, is named."""

    def leaking(day: date, rows: pd.DataFrame) -> pd.DataFrame:
        noise = np.random.default_rng(day.day).normal(1, 0.001, len(rows))
        return rows.assign(odometer=rows["sellingprice"] * noise)

    found = failed(judged(store, make(store, leaking), 4))
    assert "`odometer` alone has the rank correlation" in found["column that tells the target"]


def test_a_constant_model_is_refused(store: Store, good: Made) -> None:
    """As a constant, not only as a bad model."""
    made = spoilt(store, good, scaled(0.0, 14_000.0), lambda answers: answers * 0 + 14_000.0)
    found = failed(judged(store, made, 5))
    assert "nearly a constant" in found["spread"]
    assert {"baseline", "champion", "slices", "coverage"} <= found.keys()


def test_a_model_a_thousand_times_too_dear_is_refused(store: Store, good: Made) -> None:
    """Its scale is named."""
    made = spoilt(store, good, scaled(1_000.0), lambda answers: answers * 1_000.0)
    assert "times the price" in failed(judged(store, made, 6))["scale"]


def test_a_released_model_that_is_not_the_measured_one_is_refused(store: Store, good: Made) -> None:
    """The held-out answers are as good as ever; what would go live is not."""
    made = spoilt(store, good, scaled(1_000.0), lambda answers: answers)
    assert failed(judged(store, made, 7)).keys() == {"scale", "refit"}


def test_a_model_ten_times_slower_is_refused(store: Store, good: Made) -> None:
    """And for nothing else: its answers are the same."""
    made = spoilt(store, good, slowed(60), lambda answers: answers)
    found = judged(store, made, 8)
    assert failed(found).keys() == {"latency"}
    latency = next(check for check in found.checks if check.name == "latency")
    assert latency.figure is not None
    assert latency.limit is not None
    assert latency.figure > 2 * latency.limit
