"""The gRPC server beside the HTTP one: its port, who may call how often, errors as status codes, counting.

What ``serving/edge.py`` is to HTTP. What is answered is ``grpc_v2.py``'s. Imported only when there is a gRPC port.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

import grpc

from pipeline.contract.schema import RowsInvalid
from serving import metrics
from serving.access.caller import Caller
from serving.doors.grpc_v2 import SERVICES, Call, Method
from serving.edge import SHED
from serving.errors import RequestRefused, SettingsInvalid, Throttled, Unanswered
from serving.release import LoadedRelease
from serving.responses import PROBLEMS, rows_detail
from serving.service import Service
from serving.settings import Settings
from serving.throttle import who
from serving.tls import tls_files
from serving.variants import VARIANT

log = logging.getLogger(__name__)

STOP_SECONDS = 5.0
MAX_DETAILS = 1_000  # trailing metadata has some 8,000 bytes
OK = 200
Metadata = Sequence[tuple[str, str]]
# by the HTTP status of the same problem; all others are INVALID_ARGUMENT
CODES: Mapping[int, Any] = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}


@asynccontextmanager
async def grpc_serving(service: Service) -> AsyncIterator[None]:
    """Answer gRPC calls meanwhile; in the end those under way have some seconds. Raises ``SettingsInvalid``."""
    settings = service.settings
    server = grpc.aio.server(options=_options(settings))
    server.add_generic_rpc_handlers([_handlers(name, methods, service) for name, methods in SERVICES.items()])
    port = _bind(server, settings)
    await server.start()
    log.info("listening for gRPC", extra={"fields": {"host": settings.host, "port": port}})
    try:
        yield
    finally:
        await server.stop(STOP_SECONDS)


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", int(settings.workers > 1)),
        ("grpc.max_receive_message_length", settings.max_body_bytes),
        ("grpc.compression_enabled_algorithms_bitset", 1),  # none: a small message could become a very large one
    ]


def _bind(server: Any, settings: Settings) -> int:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address, tls = f"{host}:{settings.grpc_port}", tls_files(settings)
    try:
        if tls is None:
            port: int = server.add_insecure_port(address)
        else:
            pair = tls.key.read_bytes(), tls.certificate.read_bytes()
            port = server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    except RuntimeError:
        raise SettingsInvalid(f"cannot listen on {address} for gRPC; set SERVING_HOST, SERVING_GRPC_PORT") from None
    return port


def _handlers(name: str, methods: Mapping[str, Method], service: Service) -> Any:
    """Messages come and go as bytes, so that one which cannot be read is the client's fault, and read in a thread."""
    handlers = {
        method: grpc.unary_unary_rpc_method_handler(_handler(service, f"/{name}/{method}", answer))
        for method, answer in methods.items()
    }
    return grpc.method_handlers_generic_handler(name, handlers)


def _handler(service: Service, path: str, method: Method) -> Any:
    async def handle(body: bytes, context: Any) -> bytes:
        started = time.perf_counter()
        call, name = Call(service, body, metadata=context.invocation_metadata() or ()), ""
        try:
            caller = call.seen["caller"] = await _admit(call, path, context)
            name = caller.name
            answered = await method(call)
        except Exception as error:  # noqa: BLE001  whatever happens, a client gets an answer
            refused = _refusal(error, path)
            status = PROBLEMS[refused.code][0]
            _count(call, path, name, status, started)
            code = CODES.get(status, grpc.StatusCode.INVALID_ARGUMENT)
            await context.abort(code, str(refused)[:MAX_DETAILS], (*_named(call), *_explained(refused)))
        _count(call, path, name, OK, started)
        context.set_trailing_metadata(_named(call))
        return answered

    return handle


async def _admit(call: Call, path: str, context: Any) -> Caller:
    """Who calls. Raises what says that they may not, or not so often."""
    caller = await call.service.access.identify_metadata(path, call.metadata)
    wait = call.service.throttle.check(who(caller.name, peer_address(context.peer())))
    if wait is not None:
        raise Throttled(wait)
    return caller


def peer_address(peer: str) -> str | None:
    """The IP address in what gRPC calls a peer, as ``ipv4:127.0.0.1:5`` or ``ipv6:%5B::1%5D:5``."""
    family, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if family in {"ipv4", "ipv6"} else None


def _refusal(error: Exception, path: str) -> Unanswered:
    if isinstance(error, RowsInvalid):
        return RequestRefused("rows_invalid", f"{rows_detail(error.errors)}: {error}")
    if isinstance(error, Unanswered):
        if error.code in SHED:
            metrics.SHED.labels(error.code).inc()
        return error
    log.error("a call failed unexpectedly", exc_info=error, extra={"fields": {"path": path}})
    return RequestRefused("internal_error", "the log of this process has the details")


def _named(call: Call) -> Metadata:
    """The release behind the answer, and which variant it is while there are two."""
    release: LoadedRelease | None = call.seen.get("release") or call.service.slot.live
    if release is None:
        return []
    variant = call.seen.get("variant")
    named = [(name.decode(), value.decode()) for name, value in release.headers]
    return [*named, (VARIANT.decode(), variant)] if variant else named


def _explained(refused: Unanswered) -> Metadata:
    code = ("x-problem-code", refused.code)
    return [code] if refused.retry_after is None else [code, ("retry-after", str(refused.retry_after))]


def _count(call: Call, path: str, name: str, status: int, started: float) -> None:
    seconds = time.perf_counter() - started
    metrics.count_request(call.seen.get("door", "other"), status, seconds, call.seen.get("rows", 0))
    if call.service.settings.access_log:
        fields = {"method": "gRPC", "path": path, "status": status, "caller": name, "seconds": round(seconds, 6)}
        log.info("request", extra={"fields": fields})
