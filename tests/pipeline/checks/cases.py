"""A case for the checks to judge: the tiny model and its rows, with whatever a test changes."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.checks.case import Case, Champion
from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import Bundle
from pipeline.contract.channel import Release
from pipeline.contract.schema import Column
from tests.pipeline.tiny_model import DAYS, make_bundle, metrics_of, predictions


@functools.lru_cache
def _good() -> tuple[Bundle, Bundle, pd.DataFrame, pd.DataFrame]:
    """The candidate, the champion, the rows of the newest days and of those before."""
    older = predictions(seed=8).assign(day=np.array(DAYS[:6])[np.arange(400) * 6 // 400])
    return make_bundle(), make_bundle(1.0, "2015-06-07"), predictions(), older


def window(table: pd.DataFrame) -> pd.DataFrame:
    """Rows like those of ``table`` on the days before, and those themselves."""
    return pd.concat([_good()[3], table], ignore_index=True)


def case(**changes: Any) -> Case:
    """A good model without a champion; ``changes`` are fields of ``Case``."""
    table = changes.get("test", _good()[2])
    fields: dict[str, Any] = {
        "candidate": _good()[0],
        "target": "sellingprice",
        "rows": window(table),
        "test": table,
        "metrics": metrics_of(table),
        "answers": table[["price", "low", "high"]].to_numpy(),
        "champion": None,
        "without_champion": "there is no champion yet",
    }
    return Case(**fields | changes)


def champion(bundle: Bundle | None = None, version: int = 1) -> Champion:
    """Live since three days before the newest."""
    made = bundle or _good()[1]
    return Champion(Release(version, made.digest, made.manifest.data_day), made)


def with_columns(bundle: Bundle, *columns: Column, **lineage: Any) -> Bundle:
    """The same model with other columns, or something else in its lineage."""
    manifest = bundle.manifest
    schema = replace(manifest.schema, inputs=columns or manifest.schema.inputs)
    return bundles.build(
        bundle.model, bundle.golden, model_name=manifest.model_name, data_day=manifest.data_day, fingerprint="other",
        schema=schema, metrics=manifest.metrics, lineage={**manifest.lineage, **lineage},
    )  # fmt: skip
