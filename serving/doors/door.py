"""What all doors share: a body becomes checked rows, rows become answers, answers become a body.

A door is a file beside this one. It has a function that reads (``Read``), routes whose endpoints are
``through(Door(...))``, and the part of the OpenAPI document that describes them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from serving.batch import Batch
from serving.body import read_body
from serving.errors import OtherVersion, RequestRefused
from serving.release import AnswerTable, LoadedRelease
from serving.runner import INLINE_ROWS
from serving.service import Service
from serving.variants import Beside, Variant

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
Written_co = TypeVar("Written_co", covariant=True)
Headers = Mapping[bytes, bytes]
Endpoint = Callable[[Request], Awaitable[Response]]

# What is larger is read in a thread, so that the event loop is never held for longer than about a millisecond.
INLINE_BYTES = 32_768


class Asked(Protocol[Written_co]):
    """A request that was read: its rows, and how its answers are written; ``variant`` is told when there are two."""

    @property
    def batch(self) -> Batch: ...

    def reply(self, answers: AnswerTable, variant: str | None) -> Written_co: ...


# (the release that will answer, headers, body, rows allowed) to what was asked; raises RequestRefused, RowsInvalid
Read = Callable[[LoadedRelease, Headers, bytes, int], Asked[T]]


def no_more(code: str, detail: str) -> dict[str, Any]:
    """A problem document as it is, for doors whose clients look for nothing else in it."""
    del code, detail
    return {}


@dataclass(frozen=True, slots=True)
class Door:
    """``problem_members`` (code, detail) are what the door's own clients look for in an error, beside problem+json."""

    name: str
    read: Read[Response]
    problem_members: Callable[[str, str], Mapping[str, Any]] = no_more


def through(door: Door) -> Endpoint:
    """The endpoint of a door that is an address."""

    async def endpoint(request: Request) -> Response:
        scope = request.scope
        scope["door"] = door
        service: Service = scope["service"]
        headers: Headers = scope["fields"]
        body = await read_body(request.receive, headers.get(b"content-length"), service.settings.max_body_bytes)
        scope["caller"].accept_body(body)
        return await answer(service, scope, door.read, headers, body)

    return endpoint


async def answer(service: Service, scope: MutableMapping[str, Any], read: Read[T], headers: Headers, body: bytes) -> T:
    """The one way from a body to its answer. ``scope`` learns the release and the number of rows on the way."""
    with service.runner.place():
        beside = service.slot.beside
        if beside is not None:
            return await _answer_among(beside, service, scope, read, headers, body)
        release = scope["release"] = service.slot.take()  # for the headers of this answer, too
        asked = await _call(len(body) > INLINE_BYTES, read, release, headers, body, service.settings.max_rows)
        scope["rows"] = asked.batch.count
        answers = await service.runner.run(release, asked.batch)
        return await _call(asked.batch.count > INLINE_ROWS, asked.reply, answers, None)


async def _answer_among(
    beside: Beside, service: Service, scope: MutableMapping[str, Any], read: Read[T], headers: Headers, body: bytes
) -> T:
    """The answer of the variant that is chosen. What the challenger cannot answer, the champion does."""
    caller = scope["caller"].name
    chosen = await _call(len(body) > INLINE_BYTES, beside.choose, headers, caller, body)
    try:
        return await _answer_by(chosen, beside, service, scope, read, headers, body)
    except OtherVersion:  # a client that names a version is answered by that one
        other = beside.other(chosen)
        if other is None:
            raise
    except Exception as error:
        if chosen is beside.champion:
            raise
        if chosen.tally.errors == 1:
            log.warning("the challenger fails; the champion answers instead", exc_info=error)
        other = beside.champion
    return await _answer_by(other, beside, service, scope, read, headers, body)


async def _answer_by(
    variant: Variant,
    beside: Beside,
    service: Service,
    scope: MutableMapping[str, Any],
    read: Read[T],
    headers: Headers,
    body: bytes,
) -> T:
    started = time.perf_counter()
    release, role = variant.release, variant.role
    scope["release"] = release
    shown = scope["variant"] = role if beside.challenger else None
    try:
        asked = await _call(len(body) > INLINE_BYTES, read, release, headers, body, service.settings.max_rows)
        scope["rows"] = asked.batch.count
        answers = await service.runner.run(release, asked.batch)
        written = await _call(asked.batch.count > INLINE_ROWS, asked.reply, answers, shown)
    except OtherVersion:
        raise
    except Exception as error:
        variant.tally.failed(error, time.perf_counter() - started)
        raise
    variant.tally.answered(answers, time.perf_counter() - started)
    if beside.shadow is not None and variant is beside.champion:
        beside.shadow.put(asked.batch, answers)
    return written


async def _call(in_thread: bool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await run_in_threadpool(function, *args, **kwargs) if in_thread else function(*args, **kwargs)


def check_json_type(headers: Headers) -> None:
    """A body that says it is something else, or compressed, is refused. Saying nothing is fine."""
    kind = headers.get(b"content-type", b"application/json")
    if kind != b"application/json" and kind.partition(b";")[0].strip().lower() != b"application/json":
        raise RequestRefused("not_json_type", "send the header 'Content-Type: application/json'")
    check_plain(headers)


def check_plain(headers: Headers) -> None:
    """A compressed body is refused."""
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise RequestRefused("not_json_type", "send the body without Content-Encoding")
