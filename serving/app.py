"""The web application: all routes behind one edge, and what runs while the application lives."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from starlette.datastructures import State
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from serving import routes
from serving.doors import invocations, predict, v2
from serving.edge import Edge
from serving.loading import Loading
from serving.openapi import openapi_route
from serving.service import Service, build
from serving.settings import Settings
from serving.siblings import ALONE, Seat

STOP_SECONDS = 5.0
# A worker takes no connection before it has looked at the channel once: others may answer with a release meanwhile.
FIRST_LOOK_SECONDS = 10.0

# A new protocol is a file in doors/ and its name here.
DOORS = (predict, invocations, v2)
ROUTES: list[Route] = [*(route for door in DOORS for route in door.ROUTES), *routes.ROUTES, openapi_route(DOORS)]


class PriceApp:
    """An ASGI application. ``state.service`` has its parts."""

    def __init__(self, service: Service) -> None:
        self.state = State({"service": service})
        self._edge = Edge(service, ROUTES)
        self._lifespan = Router(lifespan=_following)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._edge.serve(scope, receive, send)
        else:  # the server's own messages: begin, end
            scope["app"] = self
            await self._lifespan(scope, receive, send)


def create_app(settings: Settings, loading: Loading | None = None, seat: Seat = ALONE) -> PriceApp:
    """The application of the worker on ``seat``. Raises ``SettingsInvalid`` when the settings cannot be used."""
    return PriceApp(build(settings, loading, seat))


@asynccontextmanager
async def _following(app: PriceApp) -> AsyncIterator[None]:
    service: Service = app.state.service
    reconciler, companions = service.reconciler, service.reconciler.companions
    # daemons, so that a load which hangs in native code cannot keep a process alive that was told to stop
    thread = threading.Thread(target=reconciler.run, name="reconciler", daemon=True)
    beside = threading.Thread(target=companions.run, name="companions", daemon=True)
    thread.start()
    beside.start()
    async with service.replica.listening():
        await asyncio.wait([asyncio.wrap_future(reconciler.hint())], timeout=FIRST_LOOK_SECONDS)
        async with _grpc(service):
            yield
    reconciler.stop()
    companions.stop()
    thread.join(STOP_SECONDS)
    beside.join(STOP_SECONDS / 5)  # what it may still be loading is not wanted any more
    service.slot.hold_shadow(None)


def _grpc(service: Service) -> AbstractAsyncContextManager[None]:
    """The gRPC server while it lives, when there is a port for it: only then its library is imported."""
    if service.settings.grpc_port is None:
        return nullcontext()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its core would log, not as JSON, what clients do wrong
    from serving.doors.grpc_server import grpc_serving  # noqa: PLC0415

    return grpc_serving(service)
