"""The routes that only read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, TypeAlias

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import AwareDatetime
from starlette.requests import HTTPConnection

from kafka_bridge.board.access import Access, access_by
from kafka_bridge.board.answers import (
    JobDataAnswer,
    JobsAnswer,
    QueuesAnswer,
    TimelineAnswer,
    WorkersAnswer,
    data_answer,
    job_answer,
    timeline_answer,
)
from kafka_bridge.board.board import MOST_STREAMS, Board, TheBoard, Visitor, answer
from kafka_bridge.board.queries import selected_jobs, status, waiting_before
from kafka_bridge.board.stream import Shown, Wanted, events
from kafka_bridge.monitor.jobs import JobView, ShownState
from kafka_bridge.monitor.lookup import JobTimeline
from kafka_bridge.monitor.selection import JobSelection
from kafka_bridge.protocol.errors import KafkaBridgeError
from kafka_bridge.protocol.ids import is_correlation_id
from kafka_bridge.protocol.messages import INT_MAX, Task

router = APIRouter()

MOST_JOBS = 10_000
"""How many jobs one answer has at most."""
FILTER_LENGTH = 500
"""Characters of a filter."""

_Filter: TypeAlias = Annotated[str | None, Query(max_length=FILTER_LENGTH)]
_Name: TypeAlias = Annotated[str, Query(max_length=FILTER_LENGTH)]


def _selection(
    state: Annotated[list[ShownState], Query(max_length=len(ShownState))] = [],  # noqa: B006
    topic: _Filter = None,
    job_type: _Filter = None,
    dag_id: _Filter = None,
    run_id: _Filter = None,
    task_id: _Filter = None,
    map_index: Annotated[int | None, Query(ge=-1)] = None,
    worker_id: _Filter = None,
    changed_since: AwareDatetime | None = None,
    text: _Filter = None,
) -> JobSelection:
    return JobSelection(
        states=frozenset(state),
        topic=topic or None,
        job_type=job_type or None,
        dag_id=dag_id or None,
        run_id=run_id or None,
        task_id=task_id or None,
        map_index=map_index,
        worker_id=worker_id or None,
        changed_since=changed_since,
        text=text or None,
    )


_Selected: TypeAlias = Annotated[JobSelection, Depends(_selection)]


@router.get("/queues")
async def queues(board: TheBoard, access: Visitor) -> Response:
    """Return what the jobs say of each request topic."""

    def read() -> Response:
        with board.source.visit() as jobs:
            summary = board.summaries.of(jobs, access)
            return answer(QueuesAnswer(status=status(jobs, summary.version), queues=summary.queues))

    return await to_thread.run_sync(read, limiter=board.queries)


@router.get("/workers")
async def workers(board: TheBoard, access: Visitor) -> Response:
    """Return the workers of the jobs."""

    def read() -> Response:
        with board.source.visit() as jobs:
            summary = board.summaries.of(jobs, access)
            found = WorkersAnswer(
                status=status(jobs, summary.version),
                workers=summary.workers,
                total=summary.total_workers,
            )
            return answer(found)

    return await to_thread.run_sync(read, limiter=board.queries)


@router.get("/jobs")
async def jobs(
    board: TheBoard,
    access: Visitor,
    selection: _Selected,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_JOBS)] = 500,
) -> Response:
    """Return some of the jobs, those with the latest change first."""

    def read() -> Response:
        with board.source.visit() as followed:
            return answer(selected_jobs(followed, access, selection, offset, limit))

    return await to_thread.run_sync(read, limiter=board.queries)


@router.get("/task/jobs")
async def jobs_of_task(
    board: TheBoard,
    access: Visitor,
    source: _Name,
    dag_id: _Name,
    run_id: _Name,
    task_id: _Name,
    since: AwareDatetime,
    map_index: Annotated[int, Query(ge=-1, le=INT_MAX)] = -1,
) -> Response:
    """Return the jobs of an Airflow task that began then, however long ago."""
    task = Task(source, dag_id, run_id, task_id, map_index)

    def read() -> JobsAnswer:
        with board.source.visit() as followed:
            now = status(followed, followed.book.version)
            try:
                found = board.source.jobs_of_task(task, since)
            except KafkaBridgeError as error:
                raise HTTPException(503, f"The jobs cannot be read now: {error}") from error
        seen = [each for each in found.jobs.values() if access.may_see(each)]
        seen.sort(key=lambda each: each.change_order, reverse=True)
        problems = list(dict.fromkeys([*now.problems, *map(str, found.failures.values())]))
        return JobsAnswer(
            status=now.model_copy(update={"problems": problems}),
            jobs=[job_answer(each) for each in seen[:MOST_JOBS]],
            total=len(seen),
        )

    return answer(await to_thread.run_sync(read, limiter=board.lookups))


@router.get("/jobs/{job}")
async def job(job: str, board: TheBoard, access: Visitor) -> Response:
    """Return everything about a job, except its payload and its result."""

    def read() -> TimelineAnswer:
        found = read_timeline(board, access, job)
        with board.source.visit() as jobs:
            before = waiting_before(jobs, found.job)
        return timeline_answer(
            found,
            before,
            may_see_payload=access.may_see_payload(found.job),
            may_cancel=access.may_cancel(found.job),
        )

    return answer(await to_thread.run_sync(read, limiter=board.lookups))


@router.get("/jobs/{job}/data")
async def job_data(job: str, board: TheBoard, access: Visitor) -> Response:
    """Return the payload and the result of a job."""

    def read() -> JobDataAnswer:
        found = read_timeline(board, access, job)
        if not access.may_see_payload(found.job):
            raise HTTPException(403, "You may see this job, but not its payload and its result")
        return data_answer(found)

    return answer(await to_thread.run_sync(read, limiter=board.lookups))


def read_timeline(board: Board, access: Access, job: str) -> JobTimeline:
    """Return what Kafka holds of a job, or else what is known of it without Kafka.

    It takes a while: do not call it on an event loop.

    :raises HTTPException: 404: there is no such job that the visitor may see; 503: Kafka is away
    """
    if not is_correlation_id(job):
        raise HTTPException(404, "This is not the id of a job: expected a UUID in lower case")
    with board.source.visit() as jobs:
        known = jobs.book.job(job)
        if known is not None and not access.may_see(known):
            raise _unknown()
        found = None
        if not jobs.is_away:
            try:
                found = board.source.timeline(job, known.requested_at if known else None)
            except KafkaBridgeError as error:
                raise HTTPException(503, f"The job cannot be read now: {error}") from error
        problems = jobs.problems()
    if found is not None and access.may_see(found.job):
        return found
    if found is None and known is not None:
        return JobTimeline(known)
    if found is None and problems:
        raise HTTPException(503, f"The job cannot be read now. {problems[0]}")
    raise _unknown()


def _unknown() -> HTTPException:
    return HTTPException(
        404,
        "There is no such job. Its records may have been removed by retention, or its request "
        "topic is not one of this board's",
    )


@router.get("/events")
async def stream(
    request: Request,
    board: TheBoard,
    access: Visitor,
    selection: _Selected,
    show: Annotated[list[Shown], Query(max_length=len(Shown))] = list(Shown),  # noqa: B006
    since: Annotated[str | None, Query(max_length=100)] = None,
    last_event_id: Annotated[str | None, Header(max_length=100)] = None,
) -> Response:
    """Return a stream of server-sent events with what changes."""
    if board.streams >= MOST_STREAMS:
        raise HTTPException(503, "Too many pages are open. Close some", {"Retry-After": "30"})
    wanted = Wanted(access, frozenset(show), selection, last_event_id or since)
    return StreamingResponse(
        _counted(board, wanted, request),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},  # nginx would keep the messages
    )


async def _counted(board: Board, wanted: Wanted, request: Request) -> AsyncIterator[str]:
    # Without what others have noted about the request: the login itself is checked again.
    again = HTTPConnection({**request.scope, "state": {}})
    board.streams += 1
    try:
        async for each in events(
            board.source,
            wanted,
            board.summaries,
            board.queries,
            board.is_ending,
            lambda: access_by(board.access_of, again),
        ):
            yield each
    finally:
        board.streams -= 1


def known_job(board: Board, access: Access, job: str) -> JobView:
    """Return a job that is being followed. Do not call it on an event loop.

    :raises HTTPException: 404: there is no such job that the visitor may see
    """
    with board.source.visit() as jobs:
        found = jobs.book.job(job)
    if found is None or not access.may_see(found):
        raise _unknown()
    return found
