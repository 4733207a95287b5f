"""The Open Inference Protocol V2 over HTTP, with its binary tensor extension: ``/v2`` and what is under it.

Not here: tensors (``v2_tensors.py``), what is told of the model (``v2_model.py``), the document (``v2_openapi.py``).
Members of a body that the protocol does not name are passed over: its clients send some of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving import routes
from serving.batch import Batch
from serving.body import check_weight, strict_json
from serving.doors.door import Door, Endpoint, Headers, check_json_type, check_plain, through
from serving.doors.v2_model import SERVER, answer_parameters, check_name, check_version, metadata
from serving.doors.v2_openapi import describe
from serving.doors.v2_tensors import Tensor, read_outputs, read_tensors
from serving.errors import RequestRefused
from serving.release import AnswerTable, LoadedRelease, check_finite
from serving.responses import json_response
from serving.service import Service

__all__ = ["ROUTES", "describe"]

HEADER_LENGTH = b"inference-header-content-length"
MODEL = "/v2/models/{model}"
VERSION = f"{MODEL}/versions/{{version}}"
encode = msgspec.json.Encoder().encode


class Parameters(msgspec.Struct):
    """Those of a tensor or a request that mean something here."""

    binary_data_size: int | None = None
    binary_data: bool | None = None
    binary_data_output: bool | None = None


class Input(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: list[Any] | None = None
    parameters: Parameters | None = None


class Output(msgspec.Struct):
    name: str
    parameters: Parameters | None = None


class Body(msgspec.Struct):
    inputs: list[Input]
    outputs: list[Output] | None = None
    id: str | None = None
    parameters: Parameters | None = None


decode = msgspec.json.Decoder(Body).decode
NO_PARAMETERS = Parameters()


@dataclass(frozen=True, slots=True)
class Inference:
    """One request. ``outputs`` are places in an answer, ``binary`` says of each whether it is sent as bytes."""

    release: LoadedRelease
    batch: Batch
    id: str | None
    outputs: Sequence[int]
    binary: Sequence[bool]

    def reply(self, answers: AnswerTable, variant: str | None = None) -> Response:
        check_finite(answers)
        outputs, raw = self._outputs(answers)
        release = self.release
        document: dict[str, Any] = {
            "model_name": release.model,
            "model_version": str(release.version),
            "parameters": answer_parameters(release, self.batch, variant),
            "outputs": outputs,
        }
        if self.id is not None:
            document["id"] = self.id
        head = encode(document)
        if not raw:
            return Response(head, media_type="application/json")
        length = {HEADER_LENGTH.decode(): str(len(head))}
        return Response(b"".join((head, *raw)), 200, length, media_type="application/octet-stream")

    def _outputs(self, answers: AnswerTable) -> tuple[list[dict[str, Any]], list[bytes]]:
        """The tensors, and the bytes of those that are sent so."""
        outputs, raw = [], []
        for place, binary in zip(self.outputs, self.binary, strict=True):
            values = answers[:, place]
            tensor = {"name": self.release.schema.outputs[place], "datatype": "FP64", "shape": [len(values), 1]}
            if binary:
                raw.append(values.astype("<f8").tobytes())
                outputs.append({**tensor, "parameters": {"binary_data_size": len(raw[-1])}})
            else:
                outputs.append({**tensor, "data": values.tolist()})
        return outputs, raw


def read(release: LoadedRelease, headers: Headers, body: bytes, max_rows: int) -> Inference:
    """Raises ``RequestRefused`` for a body that cannot be read, ``RowsInvalid`` for rows that cannot be used."""
    head, raw = _parts(headers, body)
    check_weight(head, max_rows * len(release.schema.inputs))
    asked = _body(head)
    batch = read_tensors(release.schema, _tensors(asked.inputs, raw), max_rows)
    outputs = asked.outputs or ()
    places = read_outputs(release.schema, [output.name for output in outputs])
    default = (asked.parameters or NO_PARAMETERS).binary_data_output or False
    if not outputs:
        return Inference(release, batch, asked.id, places, [default] * len(places))
    wanted = [(output.parameters or NO_PARAMETERS).binary_data for output in outputs]
    return Inference(release, batch, asked.id, places, [default if each is None else each for each in wanted])


def _parts(headers: Headers, body: bytes) -> tuple[bytes, bytes]:
    """The JSON of a body and the tensors' bytes behind it."""
    length = headers.get(HEADER_LENGTH)
    if length is None:
        check_json_type(headers)
        return body, b""
    check_plain(headers)
    if not length.isdigit() or int(length[:20]) > len(body):
        raise RequestRefused("bad_request", "Inference-Header-Content-Length must be the bytes of JSON in the body")
    end = int(length)
    return body[:end], body[end:]


def _body(head: bytes) -> Body:
    try:
        body = decode(head)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        strict_json(head)  # says where it is no JSON
        reason = str(error) if isinstance(error, msgspec.ValidationError) else "it cannot be read"
        raise RequestRefused("wrong_shape", f"the body must be a V2 inference request: {reason}") from error
    strict_json(head)  # msgspec lets a name twice in an object through
    return body


def _tensors(inputs: Sequence[Input], raw: bytes) -> list[Tensor]:
    tensors, start = [], 0
    for one in inputs:
        size = (one.parameters or NO_PARAMETERS).binary_data_size
        if (size is None) == (one.data is None) or (size is not None and not 0 <= size <= len(raw) - start):
            raise RequestRefused("wrong_shape", "each input must have either data, or a binary_data_size that is there")
        end = start + (size or 0)
        tensors.append(Tensor(one.name, one.datatype, one.shape, raw[start:end] if one.data is None else one.data))
        start = end
    if start != len(raw):
        raise RequestRefused("wrong_shape", "the sum of all binary_data_size must be the bytes behind the JSON")
    return tensors


def _problem_members(code: str, detail: str) -> dict[str, str]:
    """What the protocol's clients look for in an error."""
    del code
    return {"error": detail}


DOOR = Door("v2", read, _problem_members)
BESIDE = replace(DOOR, name="other")  # what is asked beside inferences is not counted with them


def _served(endpoint: Endpoint) -> Endpoint:
    """An endpoint under ``/v2``: of the model that is here, if its address names one."""

    async def served(request: Request) -> Response:
        request.scope["door"] = BESIDE
        name = request.path_params.get("model")
        if name is not None:
            check_name(request.scope["service"], name)
        return await endpoint(request)

    return served


async def infer_version(request: Request) -> Response:
    version = request.path_params["version"]

    def read_version(release: LoadedRelease, headers: Headers, body: bytes, max_rows: int) -> Inference:
        check_version(release, version)
        return read(release, headers, body, max_rows)

    return await through(replace(DOOR, read=read_version))(request)


async def server(_: Request) -> Response:
    return json_response(SERVER)


async def live(_: Request) -> Response:
    return json_response({"live": True})


async def ready(request: Request) -> Response:
    """As ``/readyz``."""
    await routes.readyz(request)
    return json_response({"ready": True})


async def model(request: Request) -> Response:
    return json_response(metadata(_release(request)))


async def model_ready(request: Request) -> Response:
    release = _release(request)
    await routes.readyz(request)
    return json_response({"name": release.model, "ready": True})


def _release(request: Request) -> LoadedRelease:
    service: Service = request.scope["service"]
    version = request.path_params.get("version", "")
    release: LoadedRelease = service.slot.answering(version)
    request.scope["release"] = release
    check_version(release, version)
    return release


ROUTES = [
    Route(f"{MODEL}/infer", _served(through(DOOR)), methods=["POST"]),
    Route(f"{VERSION}/infer", _served(infer_version), methods=["POST"]),
    Route(f"{MODEL}/ready", _served(model_ready)),
    Route(f"{VERSION}/ready", _served(model_ready)),
    Route(MODEL, _served(model)),
    Route(VERSION, _served(model)),
    Route("/v2/health/live", _served(live)),
    Route("/v2/health/ready", _served(ready)),
    Route("/v2", _served(server)),
]
