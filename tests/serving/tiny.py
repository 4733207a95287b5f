"""Small honest models and a release store to put them in. Every answer is a function of version and row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import Bundle, Golden
from pipeline.contract.channel import Challenger, Channel, Release, channel_key, release_prefix
from pipeline.contract.schema import Column, Schema

MODEL = "car_price"
COLUMNS = (
    Column("year", "numeric", "model year", "", 1900, 2100, example=2013),
    Column("miles", "numeric", "distance driven", "miles", -1, 1_000_000, example=48_000),
    Column("make", "categorical", "maker", example="Ford"),
    Column("guide", "numeric", "guide price", "USD", 1, 1_000_000, required=True, example=22_400),
)
SCHEMA = Schema(COLUMNS, "USD")
ROW = {"year": 2013, "miles": 48_000, "make": "Ford", "guide": 22_400}
NO_PRICE = {"year": 2013, "miles": -1, "guide": 1}  # the models below answer NaN for it


def expected(version: int, row: dict) -> dict[str, float]:
    price = 1_000 * version + (row.get("year") or 0) + row["guide"]
    return {"price": price, "low": price - 100, "high": price + 100}


def constant(name: str, value: float):
    return numpy_helper.from_array(np.array([[value]], dtype=np.float64), name)


def onnx_model(
    version: int, schema: Schema = SCHEMA, *, batch="N", number=TensorProto.DOUBLE, flat=False, renamed=(), **more
) -> bytes:
    """price = 1000 * version + year (0 if null) + guide + 0 * sqrt(miles); low and high lie 100 beside it."""
    names = dict(renamed)
    inputs = [
        helper.make_tensor_value_info(
            names.get(c.name, c.name), number if c.kind == "numeric" else TensorProto.STRING, [batch, 1]
        )
        for c in schema.inputs
    ]
    kept = [names.get(c.name, c.name) for c in schema.inputs]
    nodes = []
    for name in ("year", "miles", "guide"):
        source = names.get(name, name) if names.get(name, name) in kept else "zero"
        nodes += [
            helper.make_node("Cast", [source], [f"{name}_d"], to=TensorProto.DOUBLE),
            helper.make_node("IsNaN", [f"{name}_d"], [f"{name}_nan"]),
            helper.make_node("Where", [f"{name}_nan", "zero", f"{name}_d"], [f"{name}_0"]),
        ]
    nodes += [
        helper.make_node("Sqrt", ["miles_0"], ["root"]),
        helper.make_node("Mul", ["root", "zero"], ["nothing"]),
        helper.make_node("Sum", ["year_0", "guide_0", "nothing", "base"], ["sum"]),
        helper.make_node("Reshape", ["sum", "shape"], ["price"]),
        helper.make_node("Sub", ["price", "margin"], ["low"]),
        helper.make_node("Add", ["price", "margin"], ["high"]),
    ]
    shape = [-1] if flat else [-1, 1]
    margin = np.full([1] * len(shape), 100.0)
    outputs = [
        helper.make_tensor_value_info(o, TensorProto.DOUBLE, [batch, 1][: len(shape)]) for o in ("price", "low", "high")
    ]
    constants = [constant("zero", 0), constant("base", 1_000 * version)]
    constants += [numpy_helper.from_array(np.array(shape), "shape"), numpy_helper.from_array(margin, "margin")]
    if more.get("megabytes"):
        constants.append(numpy_helper.from_array(np.zeros(more["megabytes"] << 17), "ballast"))
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return model.SerializeToString()


def bundle(version: int, schema: Schema = SCHEMA, **changes) -> Bundle:
    """A good bundle; ``changes`` replace arguments of ``bundles.build``."""
    rows = ({**ROW}, {"guide": 5_000.0}, {"guide": 100, "year": None, "make": "never seen"})
    if {c.name for c in schema.inputs} != {c.name for c in SCHEMA.inputs}:
        rows = ({"guide": 5_000.0},)
    answers = tuple(expected(version, row) for row in rows)
    arguments = {
        "model": onnx_model(version, schema),
        "golden": Golden(rows, answers),
        "model_name": MODEL,
        "data_day": "2015-06-01",
        "fingerprint": f"v{version}",
        "schema": schema,
        "metrics": {},
        "lineage": {},
    }
    return bundles.build(**{**arguments, **changes})


def release_of(version: int, made: Bundle) -> Release:
    return Release(version, made.digest, made.manifest.data_day)


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".aside")
    aside.write_bytes(data)
    aside.replace(path)


def publish(root: Path, version: int, made: Bundle | None = None) -> Release:
    """Put a release into the store under ``root``; the channel does not name it yet."""
    made = made or bundle(version)
    for name in bundles.FILES:
        write(root / release_prefix(MODEL, version) / name, made.files[name])
    return release_of(version, made)


def point(root: Path, release: Release | None, generation: int) -> None:
    """Make the channel under ``root`` name ``release``."""
    write(root / channel_key(MODEL), Channel(MODEL, generation, release).to_bytes())


def beside(
    root: Path,
    generation: int,
    champion: Release,
    challenger: Release | None = None,
    share: float = 0.5,
    shadow: Release | None = None,
) -> None:
    """Make the channel under ``root`` name all three."""
    second = Challenger(challenger, share) if challenger else None
    write(root / channel_key(MODEL), Channel(MODEL, generation, champion, second, shadow).to_bytes())


def go(root: Path, version: int, made: Bundle | None = None) -> Release:
    """Publish a release and name it in the channel, with its version as generation."""
    release = publish(root, version, made)
    point(root, release, version)
    return release
