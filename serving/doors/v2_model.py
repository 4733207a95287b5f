"""What the protocol V2 tells of the model, over HTTP and gRPC alike: its name, live version, tensors, and answers."""

from __future__ import annotations

from typing import Any

import msgspec

from pipeline.contract.schema import Column
from serving.batch import Batch
from serving.errors import OtherVersion, RequestRefused
from serving.openapi import API_VERSION
from serving.release import LoadedRelease
from serving.service import Service

SERVER = {"name": "gavel", "version": API_VERSION, "extensions": ["binary_tensor_data"]}
PLATFORM = "onnxruntime_onnx"
SHAPE = [-1, 1]


def check_name(service: Service, name: str) -> None:
    """Raises ``RequestRefused`` (not_found) when another model is asked for."""
    if name != service.settings.model:
        live = service.slot.live
        version = "no version is live yet" if live is None else f"version {live.version} is live"
        raise RequestRefused("not_found", f"the model here is {service.settings.model}; {version}")


def check_version(release: LoadedRelease, version: str) -> None:
    """Raises ``OtherVersion`` when another version is asked for; "" is any."""
    if version and version != str(release.version):
        raise OtherVersion(f"this version does not answer; version {release.version} is live")


def metadata(release: LoadedRelease) -> dict[str, Any]:
    """The model and its tensors."""
    schema = release.schema
    return {
        "name": release.model,
        "versions": [str(release.version)],
        "platform": PLATFORM,
        "inputs": [{"name": column.name, "datatype": datatype(column), "shape": SHAPE} for column in schema.inputs],
        "outputs": [{"name": name, "datatype": "FP64", "shape": SHAPE} for name in schema.outputs],
    }


def datatype(column: Column) -> str:
    return "FP64" if column.kind == "numeric" else "BYTES"


def answer_parameters(release: LoadedRelease, batch: Batch, variant: str | None) -> dict[str, str]:
    """What goes with an answer: ``variant`` when there are two; ``notes``, a list as JSON, when something is odd."""
    notes = release.observer.notes(batch)
    named = {"digest": release.digest} if variant is None else {"digest": release.digest, "variant": variant}
    return {**named, "notes": msgspec.json.encode(notes).decode()} if notes else named
