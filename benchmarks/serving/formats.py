"""How rows travel to each server and prices back: one ``Format`` a protocol. Who speaks which is in ``servers.py``."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.serving.material import Row
from pipeline.contract.schema import Schema

JSON = {"Content-Type": "application/json"}
LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True, slots=True)
class Call:
    """A request: ``headers`` beside Host and Content-Length."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def to_bytes(self) -> bytes:
        """The request as it goes over the wire."""
        head = {"Host": "127.0.0.1", **self.headers, "Content-Length": str(len(self.body))}
        lines = [f"POST {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        return "\r\n".join(lines).encode() + self.body


@dataclass(frozen=True, slots=True)
class Format:
    """``call`` makes the request for some rows, ``prices`` reads body and headers (lower case) of its answer.

    Without ``prices`` there are none in the answer.
    """

    name: str
    call: Callable[[Schema, Sequence[Row]], Call]
    prices: Callable[[bytes, Mapping[str, str]], list[float]] | None


def json_format(
    name: str, path: str, document: Callable[[Sequence[Row]], Any], answers: Callable[[Any], list[float]]
) -> Format:
    """JSON of any shape: ``document`` makes it of rows, ``answers`` finds the prices in what comes back."""

    def call(_: Schema, rows: Sequence[Row]) -> Call:
        return Call(path, JSON, json.dumps(document(rows), separators=(",", ":"), ensure_ascii=False).encode())

    return Format(name, call, lambda body, _: answers(json.loads(body)))


def price_of_each(rows: Sequence[Mapping[str, float]]) -> list[float]:
    return [row["price"] for row in rows]


def split(rows: Sequence[Row]) -> dict[str, Any]:
    """MLflow's own way: the columns once, then the values."""
    columns = list(rows[0])
    return {"dataframe_split": {"columns": columns, "data": [[row[name] for name in columns] for row in rows]}}


def v2_json(path: str, kinds: Mapping[str, str]) -> Format:
    """Open Inference Protocol V2. ``kinds`` are content types by FP64 and BYTES, as MLServer wants them."""

    def call(schema: Schema, rows: Sequence[Row]) -> Call:
        inputs = []
        for column in schema.inputs:
            kind, missing = ("FP64", None) if column.kind == "numeric" else ("BYTES", "")
            data = [missing if row[column.name] is None else row[column.name] for row in rows]
            found = {"name": column.name, "shape": [len(rows), 1], "datatype": kind, "data": data}
            inputs.append({**found, "parameters": {"content_type": kinds[kind]}})
        document = {"parameters": {"content_type": "pd"}, "inputs": inputs}
        return Call(path, JSON, json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())

    def prices(body: bytes, _: Mapping[str, str]) -> list[float]:
        return next(o["data"] for o in json.loads(body)["outputs"] if o["name"] == "price")

    return Format("V2 JSON", call, prices)


def v2_binary(path: str) -> Format:
    """V2 with the binary tensor extension, both ways: numbers little endian, texts each after its length."""

    def call(schema: Schema, rows: Sequence[Row]) -> Call:
        arrays = schema.arrays(rows)
        tensors = {name: _tensor(values) for name, values in arrays.items()}
        inputs = [
            {
                "name": column.name,
                "shape": [len(rows), 1],
                "datatype": "FP64" if column.kind == "numeric" else "BYTES",
                "parameters": {"binary_data_size": len(tensors[column.name])},
            }
            for column in schema.inputs
        ]
        outputs = [{"name": name, "parameters": {"binary_data": True}} for name in schema.outputs]
        head = json.dumps({"inputs": inputs, "outputs": outputs}, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/octet-stream", LENGTH: str(len(head))}
        return Call(path, headers, head + b"".join(tensors[column.name] for column in schema.inputs))

    return Format("V2 binary", call, _binary_prices)


def _tensor(values: Any) -> bytes:
    if values.dtype == np.float64:
        return bytes(values.astype("<f8").tobytes())
    texts = [text.encode() for text in values.ravel()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _binary_prices(body: bytes, headers: Mapping[str, str]) -> list[float]:
    at = int(headers[LENGTH.lower()])
    for output in json.loads(body[:at])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        if output["name"] == "price":
            return [float(price) for price in np.frombuffer(body[at : at + size], "<f8")]
        at += size
    raise ValueError("there is no price in the answer")
