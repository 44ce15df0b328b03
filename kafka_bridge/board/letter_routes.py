"""The routes of the dead letters."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from anyio import to_thread
from fastapi import APIRouter, Depends, HTTPException, Path
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from kafka_bridge.board.access import Access
from kafka_bridge.board.action_routes import only_from_board
from kafka_bridge.board.answers import DataAnswer
from kafka_bridge.board.board import Board, TheBoard, Visitor, answer
from kafka_bridge.board.letter_answers import (
    LetterDetailAnswer,
    LettersAnswer,
    ReplayedAnswer,
    letter_answer,
    letter_detail,
    letter_value,
)
from kafka_bridge.board.queries import status
from kafka_bridge.board.source import FollowedJobs
from kafka_bridge.kafka.admin.dead_letter_topic import DeadLetter
from kafka_bridge.monitor.dead_letters import ReplayRefused, letter_view
from kafka_bridge.monitor.jobs import JobView
from kafka_bridge.protocol.errors import KafkaBridgeError, RecordGone, RecordLocation

router = APIRouter(prefix="/dead-letters")


class ReplayRequest(BaseModel):
    """How to replay a dead letter. ``as_new``: under a new id, if its job is finished."""

    model_config = ConfigDict(extra="forbid")

    as_new: bool = False


def _place(
    topic: Annotated[str, Path(max_length=249)],
    partition: Annotated[int, Path(ge=0, lt=2**31)],
    offset: Annotated[int, Path(ge=0, lt=2**63)],
) -> RecordLocation:
    return RecordLocation(topic, partition, offset)


_Place: TypeAlias = Annotated[RecordLocation, Depends(_place)]


@router.get("")
async def dead_letters(board: TheBoard, access: Visitor) -> Response:
    """Return the newest dead letters."""
    return answer(await to_thread.run_sync(_newest, board, access, limiter=board.lookups))


def _newest(board: Board, access: Access) -> LettersAnswer:
    with board.source.visit() as jobs:
        _check(jobs)
        found = board.source.letters.newest()
        return LettersAnswer(
            status=status(jobs, jobs.book.version),
            letters=[
                letter_answer(each, _worker(jobs, access, each.job))
                for each in found.letters
                if access.may_see(each.job)
            ],
            failures=list(found.failures),
        )


@router.get("/{topic}/{partition}/{offset}")
async def dead_letter(place: _Place, board: TheBoard, access: Visitor) -> Response:
    """Return everything about a dead letter, except its value."""

    def read() -> LetterDetailAnswer:
        letter, job = _read(board, access, place)
        with board.source.visit() as jobs:
            worker = _worker(jobs, access, job)
        return letter_detail(
            letter,
            worker,
            may_see_value=access.may_see_payload(job),
            may_replay=access.may_replay(job),
        )

    return answer(await to_thread.run_sync(read, limiter=board.lookups))


@router.get("/{topic}/{partition}/{offset}/value")
async def dead_letter_value(place: _Place, board: TheBoard, access: Visitor) -> Response:
    """Return the payload of a dead letter, or its value if that is no job request."""

    def read() -> DataAnswer:
        letter, job = _read(board, access, place)
        if not access.may_see_payload(job):
            raise HTTPException(403, "You may see this dead letter, but not its value")
        found = letter_value(letter)
        if found is None:
            raise HTTPException(404, "This dead letter has no value")
        return found

    return answer(await to_thread.run_sync(read, limiter=board.lookups))


@router.post("/{topic}/{partition}/{offset}/replay", dependencies=[Depends(only_from_board)])
async def replay(
    place: _Place, wanted: ReplayRequest, board: TheBoard, access: Visitor
) -> Response:
    """Send a dead letter to its topic again."""

    def send() -> ReplayedAnswer:
        letter, job = _read(board, access, place)
        if not access.may_replay(job):
            raise HTTPException(403, "You may see this dead letter, but not replay it")
        replayed = board.source.letters.replay(letter, as_new=wanted.as_new)
        return ReplayedAnswer(location=str(replayed.location), new_job=replayed.new_job)

    try:
        sent = answer(await to_thread.run_sync(send, limiter=board.lookups))
    except ReplayRefused as error:
        raise HTTPException(409, f"Not replayed: {error}") from error
    except KafkaBridgeError as error:
        raise HTTPException(503, f"Not replayed: {error}") from error
    sent.status_code = 202
    return sent


def _read(board: Board, access: Access, place: RecordLocation) -> tuple[DeadLetter, JobView]:
    """Return a dead letter that the visitor may see, and its job. It takes a while.

    :raises HTTPException: 404: there is no such letter that the visitor may see; 503: Kafka is away
    """
    try:
        with board.source.visit() as jobs:
            _check(jobs)
            letter = board.source.letters.letter(place)
    except RecordGone:
        letter = None
    except KafkaBridgeError as error:
        raise HTTPException(503, f"The dead letter cannot be read now: {error}") from error
    if letter is not None:
        job = letter_view(letter).job
        if access.may_see(job):
            return letter, job
    raise HTTPException(404, "There is no such dead letter. Retention may have removed it")


def _check(jobs: FollowedJobs) -> None:
    """Refuse at once what would wait for Kafka in vain.

    :raises HTTPException: 503: Kafka is away
    """
    if jobs.is_away:
        raise HTTPException(503, f"Dead letters cannot be read now. {jobs.problems()[0]}")


def _worker(jobs: FollowedJobs, access: Access, job: JobView) -> str | None:
    """Return which worker had a job last, if the visitor may know."""
    known = jobs.book.job(job.correlation_id) if job.correlation_id else None
    return known.worker_id if known is not None and access.may_see(known) else None
