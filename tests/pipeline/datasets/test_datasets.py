"""Datasets are found by the name of their file."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import datasets
from pipeline.datasets import house_prices
from pipeline.errors import SettingsInvalid

ROOT = Path(__file__).parents[3]
HEAVY = ("pandas", "sklearn", "mlflow", "pyarrow", "pandera", "onnxruntime", "pydantic")


def test_every_file_is_a_dataset_of_its_own_name() -> None:
    """Both problems are there, each with its registered model."""
    assert datasets.names() == ["car_auctions", "house_prices"]
    assert [datasets.load(name).name for name in datasets.names()] == datasets.names()
    assert len({datasets.load(name).model_name for name in datasets.names()}) == 2


@pytest.mark.parametrize("name", ["boats", "declaration", "", "../run", "car_auctions.py"])
def test_an_unknown_dataset_is_refused_with_those_that_there_are(name: str) -> None:
    """The sentence lists what could have been meant."""
    with pytest.raises(SettingsInvalid, match="the datasets are: car_auctions, house_prices"):
        datasets.load(name)


def test_a_file_that_declares_another_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copied file whose name was not changed would overwrite the other's partitions."""
    copied = dataclasses.replace(house_prices.DATASET, name="car_auctions")
    monkeypatch.setattr(house_prices, "DATASET", copied)
    with pytest.raises(SettingsInvalid, match=r"house_prices.py declares the name 'car_auctions'"):
        datasets.load("house_prices")


def test_a_dataset_is_read_without_the_heavy_libraries() -> None:
    """The DAG file reads datasets while Airflow parses it."""
    code = f"""
import sys
from pipeline import datasets
for name in datasets.names():
    datasets.load(name)
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
