"""What the routes share: the jobs, what visitors may do, and how much they may use at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias, cast

from anyio import CapacityLimiter
from fastapi import Depends, HTTPException, Request
from pydantic import BaseModel
from starlette.responses import Response

from kafka_bridge.board.access import Access, AccessOf, TokenAccess, access_by
from kafka_bridge.board.queries import Summaries
from kafka_bridge.board.source import JobSource

MOST_LOOKUPS = 4
"""How many jobs are read from Kafka at the same time: each takes connections of its own."""
MOST_QUERIES = 4
"""How many answers about many jobs are made at the same time. More would not be faster, and the
other threads are those of the application that has the board."""
MOST_STREAMS = 200


@dataclass(slots=True)
class Board:
    """The values that the routes need.

    :ivar is_ending: whether the server stops; then streams of events end
    :ivar streams: how many streams of events are open
    """

    source: JobSource
    access_of: AccessOf
    is_ending: Callable[[], bool] = lambda: False
    summaries: Summaries = field(default_factory=Summaries)
    lookups: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(MOST_LOOKUPS))
    queries: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(MOST_QUERIES))
    streams: int = 0


def board_of(request: Request) -> Board:
    """Return the board of the application that serves a request."""
    return cast(Board, request.app.state.board)


TheBoard: TypeAlias = Annotated[Board, Depends(board_of)]


async def visitor(request: Request, board: TheBoard) -> Access:
    """Return what the sender of a request may do.

    :raises HTTPException: 401: the sender has to log in first
    """
    access = await access_by(board.access_of, request)
    if access is None:
        has_token = isinstance(board.access_of, TokenAccess)
        raise HTTPException(
            401,
            "Log in first: this board needs its token" if has_token else "Log in first",
            {"WWW-Authenticate": "Bearer"} if has_token else None,
        )
    return access


Visitor: TypeAlias = Annotated[Access, Depends(visitor)]


def answer(model: BaseModel) -> Response:
    """Return a model as JSON. FastAPI would check it a second time."""
    return Response(model.model_dump_json(), media_type="application/json")
