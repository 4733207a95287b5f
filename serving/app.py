"""The web application: routes, errors, and the thread that follows the channel while the application lives."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware

from serving.middleware import HANDLERS, Edge
from serving.openapi import openapi
from serving.routes import ROUTES
from serving.service import Service, build
from serving.settings import Settings

STOP_SECONDS = 5.0


class PriceApp(FastAPI):
    """FastAPI whose OpenAPI document is that of the live release, written anew each time it is asked for."""

    def openapi(self) -> dict[str, Any]:
        service: Service = self.state.service
        return openapi(service.settings.model, service.slot.live)


def create_app(settings: Settings) -> FastAPI:
    """Raises ``SettingsInvalid`` when the settings name a release store that is not known."""
    service = build(settings)
    app = PriceApp(
        routes=list(ROUTES),
        lifespan=_following,
        docs_url=None,  # its page needs a script from a foreign host; ours is in docs_page.py
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=HANDLERS,
        middleware=[Middleware(Edge, service=service)],
    )
    app.state.service = service
    return app


@asynccontextmanager
async def _following(app: FastAPI) -> AsyncIterator[None]:
    reconciler = app.state.service.reconciler
    # a daemon, so that a load which hangs in native code cannot keep a process alive that was told to stop
    thread = threading.Thread(target=reconciler.run, name="reconciler", daemon=True)
    thread.start()
    yield
    reconciler.stop()
    thread.join(STOP_SECONDS)
