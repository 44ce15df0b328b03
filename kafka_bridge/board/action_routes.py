"""The routes that change something: they answer only the board's own page, and programs."""

from __future__ import annotations

import asyncio

from anyio import to_thread
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from kafka_bridge.board.access import COOKIE, Access, TokenAccess
from kafka_bridge.board.board import Board, TheBoard, Visitor, answer
from kafka_bridge.board.guard import CUSTOM_HEADER, is_from_board
from kafka_bridge.board.reading_routes import known_job
from kafka_bridge.protocol.errors import KafkaBridgeError
from kafka_bridge.protocol.sanitize import one_line

REASON_LENGTH = 500
"""Characters of the reason of a cancel."""
WRONG_TOKEN_SECONDS = 1.0


def only_from_board(request: Request) -> None:
    """Refuse what a page of another site may have sent.

    :raises HTTPException: 403 or 415
    """
    if not is_from_board(request.headers):
        raise HTTPException(
            403, f"Only the board's own page may do this; a program sends {CUSTOM_HEADER}: 1"
        )
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "Send JSON, as Content-Type: application/json")


router = APIRouter(dependencies=[Depends(only_from_board)])
login_router = APIRouter(dependencies=[Depends(only_from_board)])


class CancelRequest(BaseModel):
    """Why a job is to be cancelled."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=REASON_LENGTH)


class CancelSent(BaseModel):
    """Where the CANCEL command is. The worker confirms it with a CANCELLED event."""

    location: str


class Login(BaseModel):
    """A token."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=1_000)


@router.post("/jobs/{job}/cancel")
async def cancel(job: str, wanted: CancelRequest, board: TheBoard, access: Visitor) -> Response:
    """Send the command to cancel a job."""
    reason = one_line(wanted.reason.strip()) or "cancelled on the board"
    sent = answer(
        await to_thread.run_sync(_send_cancel, board, access, job, reason, limiter=board.lookups)
    )
    sent.status_code = 202
    return sent


def _send_cancel(board: Board, access: Access, job: str, reason: str) -> CancelSent:
    view = known_job(board, access, job)
    if not access.may_cancel(view):
        raise HTTPException(403, "You may see this job, but not cancel it")
    if view.state.is_end:
        raise HTTPException(409, f"The job has already ended: it is {view.state}")
    try:
        return CancelSent(location=str(board.source.cancel(job, reason)))
    except KafkaBridgeError as error:
        raise HTTPException(503, f"The command was not sent: {error}") from error


@login_router.post("/login")
async def login(wanted: Login, board: TheBoard, request: Request) -> Response:
    """Set a cookie if the token is right."""
    access = board.access_of
    if not isinstance(access, TokenAccess) or not access.fits(wanted.token.strip()):
        await asyncio.sleep(WRONG_TOKEN_SECONDS)
        raise HTTPException(401, "This is not the token of this board")
    response = Response(status_code=204)
    response.set_cookie(
        COOKIE,
        access.cookie,
        path=request.url.path.removesuffix("api/login"),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response
