"""The application: the page, its files, and the answers that it asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from kafka_bridge.board import action_routes, letter_routes, metric_routes, reading_routes
from kafka_bridge.board.access import AccessOf, TokenAccess
from kafka_bridge.board.board import Board
from kafka_bridge.board.guard import Guard
from kafka_bridge.board.page import OF_FILES, STATIC, AirflowPages, page_router
from kafka_bridge.board.source import JobSource
from kafka_bridge.protocol.sanitize import one_line

_KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
"""The types that a system's own table may have wrong: browsers refuse a module of another type."""


def create_board(
    source: JobSource,
    access_of: AccessOf,
    prefix: str = "",
    *,
    hosts: Collection[str] | None = None,
    is_ending: Callable[[], bool] = lambda: False,
    airflow: AirflowPages | None = None,
) -> FastAPI:
    """Return the board as an application. It closes the source when it shuts down.

    :param access_of: what the sender of a request may do; a :class:`TokenAccess` adds a login
    :param prefix: the path of the page, such as ``/board``, if it is not the root of the server
    :param hosts: the host names that requests may have, without ports; None: all
    :param is_ending: whether the server stops; streams of events end within a second
    :param airflow: the Airflow whose API server has the board, if one has
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await to_thread.run_sync(source.close)

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.board = Board(source, access_of, is_ending)
    app.add_middleware(Guard, hosts=hosts)
    app.add_exception_handler(RequestValidationError, _invalid)
    api = APIRouter(prefix=f"{prefix}/api")
    api.include_router(reading_routes.router)
    api.include_router(action_routes.router)
    api.include_router(letter_routes.router)
    if isinstance(access_of, TokenAccess):
        api.include_router(action_routes.login_router)
    app.include_router(api)
    app.include_router(metric_routes.router, prefix=prefix)
    if prefix:
        app.add_api_route(prefix, _to_page, include_in_schema=False)
    app.include_router(page_router(airflow), prefix=prefix)
    app.mount(f"{prefix}/static", _Files(directory=STATIC))
    return app


async def _invalid(_: Request, error: Exception) -> Response:
    """Say what is wrong with a request. FastAPI's own answer repeats what was sent."""
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    text = "; ".join(f"{each['loc'][:2][-1]}: {each['msg']}" for each in problems)
    return JSONResponse({"detail": one_line(text)}, 422)


def _to_page(request: Request) -> Response:
    """Add the slash without which the page's relative addresses lead elsewhere."""
    return RedirectResponse(f"{request.url.path.rpartition('/')[2]}/")


class _Files(StaticFiles):
    def file_response(self, *arguments: object, **options: object) -> Response:
        """Return a file, which the browser asks for each time."""
        response = super().file_response(*arguments, **options)  # type: ignore[arg-type]
        response.headers.update(OF_FILES)
        kind = _KINDS.get(Path(str(arguments[0])).suffix)
        if kind is not None:
            response.headers["Content-Type"] = kind
        return response
