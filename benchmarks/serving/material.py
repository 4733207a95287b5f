"""What is served and asked: the release, its rows in the form of the session, and versions of it with other answers.

Made by ``model.py`` in another environment; read here with nothing but numpy.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import onnxruntime

from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import Bundle, Golden
from pipeline.contract.channel import Channel, Release, channel_key, release_prefix
from pipeline.contract.schema import Schema

RELEASE, SHIFTED, MLFLOW, FACTS = "release", "shifted.onnx", "mlflow-model", "facts.json"
ROWS = "rows.json"  # written last: with it the folder is whole
MARK = 918_273_645.125  # found nowhere else in a model
STEP = 1_000.0  # what a version's answers are above those of the version before

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Material:
    """``rows`` are all different. ``folder`` is where the model lies that every server reads."""

    folder: Path
    bundle: Bundle
    rows: Sequence[Row]

    @property
    def schema(self) -> Schema:
        return self.bundle.manifest.schema

    @property
    def model_file(self) -> Path:
        return self.folder / RELEASE / bundles.MODEL

    @cached_property
    def prices(self) -> list[float]:
        """The price of each row by onnxruntime in process: what every server must answer."""
        session = onnxruntime.InferenceSession(self.bundle.model, providers=["CPUExecutionProvider"])
        return [float(price) for price in session.run(["price"], self.schema.arrays(self.rows))[0].ravel()]

    def batches(self, size: int) -> list[Sequence[Row]]:
        """The rows in as many whole parts of ``size`` as there are."""
        return [self.rows[i : i + size] for i in range(0, len(self.rows) - size + 1, size)]


def read(folder: Path) -> Material:
    folder = folder.absolute()  # servers are started in other folders
    files = {name: (folder / RELEASE / name).read_bytes() for name in bundles.FILES}
    return Material(folder, bundles.read(files), json.loads((folder / ROWS).read_bytes()))


class Releases:
    """A release store at ``root`` with versions of the model. Version n answers ``STEP * n`` more than the model."""

    def __init__(self, material: Material, root: Path) -> None:
        shutil.rmtree(root, ignore_errors=True)
        self.root, self._bundle = root, material.bundle
        self._shifted = (material.folder / SHIFTED).read_bytes()
        self._mark = struct.pack("<d", MARK)
        assert self._shifted.count(self._mark) == 1, "the mark is somewhere else in the model too"

    @property
    def model(self) -> str:
        return self._bundle.manifest.model_name

    def publish(self, version: int) -> Release:
        """Put version ``version`` into the store; version 0 is the model as it is."""
        packed = self._version(version) if version else self._bundle
        release = Release(version or 1, packed.digest, packed.manifest.data_day)
        for name in bundles.FILES:
            write(self.root / release_prefix(self.model, release.version) / name, packed.files[name])
        return release

    def point(self, release: Release) -> None:
        channel = Channel(self.model, release.version, release)
        write(self.root / channel_key(self.model), channel.to_bytes())

    def remove(self, version: int) -> None:
        shutil.rmtree(self.root / release_prefix(self.model, version), ignore_errors=True)

    def _version(self, version: int) -> Bundle:
        manifest, golden, shift = self._bundle.manifest, self._bundle.golden, STEP * version
        answers = tuple({name: value + shift for name, value in answer.items()} for answer in golden.answers)
        return bundles.build(
            self._shifted.replace(self._mark, struct.pack("<d", shift)),
            Golden(golden.rows, answers, golden.tolerance),
            model_name=manifest.model_name,
            data_day=manifest.data_day,
            fingerprint=f"{manifest.fingerprint}-{version}",
            schema=manifest.schema,
            metrics=manifest.metrics,
            lineage=manifest.lineage,
        )


def write(path: Path, data: bytes) -> None:
    """At once: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".aside")
    aside.write_bytes(data)
    aside.replace(path)
