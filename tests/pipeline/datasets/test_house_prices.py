"""A second problem: invented houses go the whole way, from a CSV to a live release, by the name of their dataset."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest

from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import Bundle
from pipeline.contract.schema import RowsInvalid
from pipeline.datasets import house_prices
from pipeline.releases import live_release, read_release
from pipeline.scoring import Scorer
from pipeline.store import Store, open_store

ROOT = Path(__file__).parents[3]
DATASET = house_prices.DATASET
FIRST, DAYS, ROWS_A_DAY = date(2026, 3, 2), 9, 120
COLUMNS = ["size", "rooms", "age", "location"]


def houses(seed: int = 3) -> pd.DataFrame:
    """Invented sales as a person would keep them: mixed spelling, gaps, marks for "not known", a wrong price."""
    random = np.random.default_rng(seed)
    count = DAYS * ROWS_A_DAY
    day = [FIRST + timedelta(days=n // ROWS_A_DAY) for n in range(count)]
    place = random.integers(0, 6, count)
    rooms = random.integers(1, 9, count)
    size = np.round(20 + 24 * rooms * random.lognormal(0, 0.2, count))
    age = np.round(random.gamma(2, 18, count))
    per_metre = np.array([1_800, 2_400, 2_900, 3_500, 4_600, 6_200])[place]
    price = size * per_metre * np.exp(-age / 200) * (0.9 + 0.03 * rooms) * random.lognormal(0, 0.08, count)
    names = np.array(["Riverside", "Old Town", "North End", "Harbour", "The Hill", "Park Lane"], dtype=object)[place]
    spelt = [name.upper() if odd else name for name, odd in zip(names, random.random(count) < 0.1, strict=True)]
    frame = pd.DataFrame(
        {
            "sold_on": [each.isoformat() for each in day],
            "location": spelt,
            "size": size,
            "rooms": rooms,
            "age": age,
            "sale_price": price.round(-2),
        }
    )
    frame.loc[random.random(count) < 0.03, "location"] = "n/a"
    frame.loc[random.random(count) < 0.03, "rooms"] = 0
    frame.loc[random.random(count) < 0.03, "age"] = None
    frame.loc[5, "sale_price"] = 1_500
    return frame


@dataclass(frozen=True)
class Ran:
    """What the command printed, and what it left."""

    document: dict[str, Any]
    store: Store
    bundle: Bundle


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The command as a person types it, with nothing set but the dataset, its rows and the days."""
    folder = tmp_path_factory.mktemp("houses")
    houses().to_csv(folder / "sold.csv", index=False)
    first, last = FIRST + timedelta(days=DAYS - 2), FIRST + timedelta(days=DAYS - 1)
    command = [
        sys.executable, "-m", "pipeline.run", "--dataset", "house_prices", "--source", f"folder:{folder}/sold.csv",
        "--from", first.isoformat(), "--to", last.isoformat(), "--state", str(folder / "state"), "--json",
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GAVEL_")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    store = open_store(f"file:{folder}/state/store")
    release = live_release(store, DATASET.model_name)
    assert release is not None, done.stdout
    return Ran(json.loads(done.stdout), store, read_release(store, DATASET.model_name, release.version))


def test_the_days_make_versions_that_go_live(ran: Ran) -> None:
    """The second day is scored by the release of the first; there is no baseline to stand beside."""
    first, second = ran.document["days"]
    assert (first["version"], first["live"], first["scored_by"]) == (1, True, None)
    assert (second["version"], second["live"], second["scored_by"]) == (2, True, 1)
    assert second["rows"] == ROWS_A_DAY
    assert second["baseline_mae"] is None
    assert 0 < second["mae"] < 60_000
    assert second["parity_max_rel"] <= 1e-6


def test_it_is_better_than_the_median_of_its_reference(ran: Ran) -> None:
    """By location and rooms, which the gate holds it against."""
    metrics = ran.bundle.manifest.metrics
    assert metrics["baseline"] is None
    assert metrics["model"]["mae"] < 0.7 * metrics["reference"]["mae"]
    assert 0.6 < metrics["model"]["coverage"] < 0.95


def test_the_graph_takes_the_columns_of_a_house(ran: Ran) -> None:
    """Numbers as doubles, text as text, by name; price, low and high come out."""
    graph = onnx.load_from_string(ran.bundle.model).graph
    kinds = {onnx.TensorProto.DOUBLE: "numeric", onnx.TensorProto.STRING: "categorical"}
    inputs = {each.name: kinds[each.type.tensor_type.elem_type] for each in graph.input}
    assert inputs == {"size": "numeric", "rooms": "numeric", "age": "numeric", "location": "categorical"}
    assert [each.name for each in graph.output] == ["price", "low", "high"]


def test_the_serving_schema_speaks_of_houses(ran: Ran) -> None:
    """Units, ranges and examples are those of the declaration; cars are not mentioned."""
    manifest = ran.bundle.manifest
    assert manifest.model_name == "house_price"
    assert [column.name for column in manifest.schema.inputs] == COLUMNS
    declared = {column.name: column for column in DATASET.schema(with_baseline=True).inputs}
    for column in manifest.schema.inputs:
        assert replace(column, usual_minimum=None, usual_maximum=None, known=()) == declared[column.name]
    assert manifest.schema.output_unit == "USD"
    with pytest.raises(RowsInvalid, match="there is no such column"):
        manifest.schema.arrays([{"odometer": 1}])
    with pytest.raises(RowsInvalid, match="between 10 and 2000 m2"):
        manifest.schema.arrays([{"size": 5}])


def test_it_answers_sensible_prices(ran: Ran) -> None:
    """More for a better place and more room; the spelling of the place does not matter, nor whether it is known."""
    scorer = Scorer(ran.bundle.model, ran.bundle.manifest.schema)
    house = {"size": 120.0, "rooms": 4.0, "age": 25.0}
    places = ["Riverside", "riverside", "RIVERSIDE", "Park Lane", "n/a", "", "Atlantis"]
    rows = pd.DataFrame(
        [house | {"location": place} for place in places] + [house | {"size": 200.0, "location": "Riverside"}]
    )
    price, low, high = scorer.predict(rows).T
    assert price[0] == price[1] == price[2]
    assert price[3] > 2 * price[0]
    assert price[4] == price[5]
    assert price[7] > price[0]
    assert ((low <= price) & (price <= high)).all()
    assert np.isfinite(price).all()


def test_its_golden_rows_are_houses(ran: Ran) -> None:
    """What a server must answer before it is trusted."""
    assert all(set(row) <= set(COLUMNS) for row in ran.bundle.golden.rows)
    assert len(ran.bundle.golden.rows) >= 5


def test_cleaning_did_what_the_file_declares(ran: Ran) -> None:
    """The mark for rooms is mended, the shell is not learned from; slices are those of houses."""
    metrics = ran.bundle.manifest.metrics
    assert metrics["cleaning"]["shells"]["dropped"] == 1
    assert metrics["cleaning"]["missing_marks"]["mended"] > 10
    assert set(metrics["slices"]) == {"location", "age", "price"}
    assert "riverside" in metrics["slices"]["location"]


def test_the_store_holds_nothing_of_another_problem(ran: Ran) -> None:
    """Partitions, folders and releases lie under the dataset's own names."""
    keys = list(ran.store.keys(""))
    assert not [key for key in keys if "car" in key.partition("/")[2]]
    assert {f"releases/house_price/{version}/{bundles.MODEL}" for version in (1, 2)} <= set(keys)
    assert len([key for key in keys if key.startswith("partitions/house_prices/2026-03-")]) >= 2 * DAYS


def test_the_declaration_is_one_short_file() -> None:
    """About 60 lines, and no other file of the pipeline knows of houses."""
    source = Path(house_prices.__file__)
    assert len(source.read_text().splitlines()) <= 60
    others = [path for path in (ROOT / "pipeline").rglob("*.py") if path != source and "house" in path.read_text()]
    assert others == []
