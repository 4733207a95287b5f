"""The datasets: one file each, found by its name. A new problem is a new file here and nothing else."""

from __future__ import annotations

import importlib
import pkgutil

from pipeline.datasets.declaration import Dataset
from pipeline.errors import SettingsInvalid


def names() -> list[str]:
    """The names of all dataset files."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if name != "declaration")


def load(name: str) -> Dataset:
    """The ``DATASET`` of the file ``name``. Raises ``SettingsInvalid`` when there is none of that name."""
    if name not in names():
        raise SettingsInvalid(f"there is no dataset {name!r}; the datasets are: {', '.join(names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    dataset: Dataset = module.DATASET
    if dataset.name != name:
        raise SettingsInvalid(f"pipeline/datasets/{name}.py declares the name {dataset.name!r}; make them the same")
    return dataset
