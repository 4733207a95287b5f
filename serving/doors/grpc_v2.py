"""The Open Inference Protocol V2 over gRPC: what each call answers. Who may call, and errors, are ``grpc_server.py``'s.

``grpc.health.v1`` has its Check here, too: the service that is named does not matter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from serving.batch import Batch
from serving.doors.door import Headers, answer
from serving.doors.inference_messages import message
from serving.doors.v2_model import SERVER, answer_parameters, check_name, check_version, metadata
from serving.doors.v2_tensors import Tensor, parts_as_texts, read_outputs, read_tensors
from serving.errors import NotReady, RequestRefused
from serving.release import AnswerTable, LoadedRelease, check_finite
from serving.service import Service

InferRequest, InferResponse = message("ModelInferRequest"), message("ModelInferResponse")
# where a tensor that is not raw has its values
CONTENTS: Mapping[str, str] = {
    "FP64": "fp64_contents",
    "FP32": "fp32_contents",
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "BYTES": "bytes_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
}
# grpc.health.v1.HealthCheckResponse, its one field written out
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


@dataclass(slots=True)
class Call:
    """One call. ``seen`` learns what an HTTP request's scope does: door, caller, release, variant, rows."""

    service: Service
    body: bytes
    seen: dict[str, Any] = field(default_factory=dict)
    metadata: Sequence[tuple[str, str | bytes]] = ()

    @property
    def headers(self) -> Headers:
        return {k.encode(): v if isinstance(v, bytes) else v.encode() for k, v in self.metadata}


Method = Callable[[Call], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Inference:
    """One request. ``outputs`` are places in an answer."""

    release: LoadedRelease
    batch: Batch
    id: str
    outputs: Sequence[int]
    raw: bool

    def reply(self, answers: AnswerTable, variant: str | None = None) -> bytes:
        check_finite(answers)
        release = self.release
        response = InferResponse(model_name=release.model, model_version=str(release.version), id=self.id)
        for name, text in answer_parameters(release, self.batch, variant).items():
            response.parameters[name].string_param = text
        for place in self.outputs:
            tensor = response.outputs.add(name=release.schema.outputs[place], datatype="FP64")
            tensor.shape[:] = (len(answers), 1)
            if self.raw:
                response.raw_output_contents.append(answers[:, place].astype("<f8").tobytes())
            else:
                tensor.contents.fp64_contents.extend(answers[:, place].tolist())
        return _bytes(response)


def read(service: Service, release: LoadedRelease, headers: Headers, body: bytes, max_rows: int) -> Inference:
    """Raises ``RequestRefused`` for a message that cannot be read, ``RowsInvalid`` for rows that cannot be used."""
    del headers  # its metadata says nothing about a message
    request = _parse(InferRequest, body)
    check_name(service, request.model_name)
    check_version(release, request.model_version)
    batch = read_tensors(release.schema, _tensors(request), max_rows)
    outputs = read_outputs(release.schema, [output.name for output in request.outputs])
    return Inference(release, batch, request.id, outputs, bool(request.raw_input_contents))


def _tensors(request: Any) -> list[Tensor]:
    inputs, raw = request.inputs, request.raw_input_contents
    if not raw:
        return [Tensor(one.name, one.datatype, one.shape, _contents(one)) for one in inputs]
    if len(raw) != len(inputs):
        raise RequestRefused("wrong_shape", "raw_input_contents must have the data of each input")
    return [Tensor(one.name, one.datatype, one.shape, data) for one, data in zip(inputs, raw, strict=True)]


def _contents(tensor: Any) -> Any:
    name = CONTENTS.get(tensor.datatype)
    if name is None:  # BOOL, which no column takes; FP16, which can only be raw
        raise RequestRefused("wrong_shape", f"contents must be of a datatype among {', '.join(CONTENTS)}")
    values = getattr(tensor.contents, name)[:]
    if tensor.datatype == "BYTES":
        return [text or None for text in parts_as_texts(values)]
    return np.array(values, np.float64)


async def model_infer(call: Call) -> bytes:
    call.seen["door"] = "grpc"
    headers = call.headers if call.service.slot.beside else {}  # they say who shall answer, and nothing else
    return await answer(call.service, call.seen, partial(read, call.service), headers, call.body)


async def server_live(_: Call) -> bytes:
    return _bytes(message("ServerLiveResponse")(live=True))


async def server_ready(call: Call) -> bytes:
    return _bytes(message("ServerReadyResponse")(ready=await _is_ready(call)))


async def health_check(call: Call) -> bytes:
    return SERVING if await _is_ready(call) else NOT_SERVING


async def server_metadata(_: Call) -> bytes:
    return _bytes(message("ServerMetadataResponse")(**SERVER))


async def model_ready(call: Call) -> bytes:
    try:
        _release(call, "ModelReadyRequest")
    except NotReady:
        return _bytes(message("ModelReadyResponse")(ready=False))
    return _bytes(message("ModelReadyResponse")(ready=await _is_ready(call)))


async def model_metadata(call: Call) -> bytes:
    return _bytes(message("ModelMetadataResponse")(**metadata(_release(call, "ModelMetadataRequest"))))


async def _is_ready(call: Call) -> bool:
    """As ``/readyz``."""
    try:
        call.seen["release"] = await call.service.replica.prove()
    except NotReady:
        return False
    return True


def _release(call: Call, kind: str) -> LoadedRelease:
    """The release that a request names."""
    request = _parse(message(kind), call.body)
    check_name(call.service, request.name)
    release = call.seen["release"] = call.service.slot.answering(request.version)
    check_version(release, request.version)
    return release


def _parse(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise RequestRefused("bad_request", "the message cannot be read as one of this call") from error


def _bytes(answered: Any) -> bytes:
    written: bytes = answered.SerializeToString()
    return written


SERVICES: Mapping[str, Mapping[str, Method]] = {
    "inference.GRPCInferenceService": {
        "ServerLive": server_live,
        "ServerReady": server_ready,
        "ModelReady": model_ready,
        "ServerMetadata": server_metadata,
        "ModelMetadata": model_metadata,
        "ModelInfer": model_infer,
    },
    "grpc.health.v1.Health": {"Check": health_check},
}
