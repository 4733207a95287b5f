"""The edge of the application: who calls, how often, which address; errors become problem+json; each answer is named.

Every answer tells the release behind it and the request's id, and is counted. What an address answers is elsewhere.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import time
from collections.abc import Sequence
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from pipeline.contract.schema import RowsInvalid
from serving import metrics
from serving.access.caller import ANONYMOUS, AccessDenied
from serving.access.policy import role_for
from serving.doors.door import Endpoint
from serving.errors import MethodNotAllowed, RequestRefused, Throttled, Unanswered
from serving.responses import problem, rows_detail, rows_problem
from serving.service import Service
from serving.throttle import who
from serving.variants import VARIANT

log = logging.getLogger(__name__)

SHED = ("throttled", "overloaded")
REQUEST_ID = re.compile(rb"[\w.:-]{1,64}", re.ASCII)
TRACE = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Edge:
    """Around all endpoints. An address without a parameter is found in a table, the others by Starlette's routes."""

    def __init__(self, service: Service, routes: Sequence[Route]) -> None:
        self._service = service
        self._ids, self._count_ids = os.urandom(4).hex().encode(), itertools.count()
        self._routes = [route for route in routes if "{" in route.path]
        self._exact: dict[str, dict[str, Endpoint]] = {}
        for route in routes:
            if "{" not in route.path:
                self._exact.setdefault(route.path, {}).update(dict.fromkeys(route.methods or (), route.endpoint))

    def _next_id(self) -> bytes:
        return b"%s%08x" % (self._ids, next(self._count_ids) & 0xFFFFFFFF)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. Nothing that it brings can make this raise."""
        started = time.perf_counter()
        scope["service"] = self._service
        scope["fields"] = fields = dict(scope["headers"])
        scope["caller"] = ANONYMOUS
        given = fields.get(b"x-request-id", b"")
        scope["request_id"] = request_id = given if REQUEST_ID.fullmatch(given) else self._next_id()
        try:
            response = await self._answer(Request(scope, receive))
        except Exception as error:  # noqa: BLE001  whatever happens, a client gets an answer
            response = _problem(error, scope)
        response.raw_headers += ((b"x-request-id", request_id), *self._headers(scope))
        await response(scope, receive, send)
        self._count(scope, response.status_code, time.perf_counter() - started)

    async def _answer(self, request: Request) -> Response:
        scope, service = request.scope, self._service
        caller = scope["caller"] = await service.access.identify(scope)
        if role_for(scope["method"], scope["path"]) is not None:  # else it is an engine asking for health
            client = scope["client"]
            wait = service.throttle.check(who(caller.name, client and client[0]))
            if wait is not None:
                raise Throttled(wait)
        return await self._endpoint(scope)(request)

    def _endpoint(self, scope: Scope) -> Endpoint:
        methods = self._exact.get(scope["path"])
        if methods is None:
            return self._by_pattern(scope)
        endpoint = methods.get(scope["method"])
        if endpoint is None:
            raise MethodNotAllowed(methods)
        return endpoint

    def _by_pattern(self, scope: Scope) -> Endpoint:
        for route in self._routes:
            match, found = route.matches(scope)
            if match is Match.PARTIAL:
                raise MethodNotAllowed(route.methods or ())
            if match is Match.FULL:
                scope.update(found)
                endpoint: Endpoint = route.endpoint
                return endpoint
        raise RequestRefused("not_found", "the addresses and their methods are listed at /docs")

    def _headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        headers = [(b"x-content-type-options", b"nosniff")]
        if self._service.probe.draining:
            headers.append((b"connection", b"close"))  # so that clients connect elsewhere before the end
        release = scope.get("release") or self._service.slot.live
        if release is not None:
            headers += release.headers
            if scope.get("variant"):
                headers.append((VARIANT, scope["variant"].encode()))
        return headers

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        door = scope.get("door")
        metrics.count_request(door.name if door else "other", status, seconds, scope.get("rows", 0))
        if self._service.settings.access_log:
            fields = {
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "caller": scope["caller"].name,
            }
            log.info("request", extra={"fields": {**fields, "seconds": round(seconds, 6), **_trace(scope)}})


def _trace(scope: Scope) -> dict[str, str]:
    """What ties a log line to a request and, when the client traces (W3C traceparent), to its trace."""
    found = {"request_id": scope["request_id"].decode()}
    parent = scope["fields"].get(b"traceparent", b"")
    return {**found, "trace_id": parent[3:35].decode()} if TRACE.fullmatch(parent) else found


def _problem(error: Exception, scope: Scope) -> Response:
    door = scope.get("door")
    if isinstance(error, RowsInvalid):
        detail = f"{rows_detail(error.errors)}: {error}"  # some clients show nothing else
        members = door.problem_members("rows_invalid", detail) if door else {}
        return rows_problem(error.errors, **members)
    known = error if isinstance(error, Unanswered) else _unexpected(error, scope)
    if known.code in SHED:
        metrics.SHED.labels(known.code).inc()
    headers = dict(known.headers) if isinstance(known, AccessDenied) else {}
    if isinstance(known, MethodNotAllowed):
        headers["allow"] = known.allowed
    if known.retry_after is not None:
        headers["retry-after"] = str(known.retry_after)
    members = door.problem_members(known.code, str(known)) if door else {}
    return problem(known.code, str(known), headers, **members)


def _unexpected(error: Exception, scope: Scope) -> Unanswered:
    if isinstance(error, ClientDisconnect):
        return RequestRefused("bad_request", "the client went away")  # nobody reads it
    fields: dict[str, Any] = {"path": scope["path"], **_trace(scope)}
    log.error("a request failed unexpectedly", exc_info=error, extra={"fields": fields})
    return RequestRefused("internal_error", "the log of this process has the details under this request's id")
