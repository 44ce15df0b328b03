"""What the board answers, as models. Their fields are made of the values of the monitor."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from kafka_bridge.monitor.jobs import JobView, ShownState, WorkerState
from kafka_bridge.monitor.lookup import JobTimeline, TimelineEvent
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.protocol.sanitize import block

MOST_EVENTS = 2_000
"""How many events of one job are shown; of more, the first and the last ones."""
DATA_BYTES = 1_000_000
"""How much of a payload or a result is shown, in bytes of UTF-8."""


def _seconds(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, timedelta) else value


Seconds = Annotated[float, BeforeValidator(_seconds)]


class Answer(BaseModel):
    """Made of any value that has attributes with the names of its fields."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Status(Answer):
    """How good the answer is.

    :ivar version: ask for the changes since this one next
    :ivar is_reading: whether older jobs are still being read
    :ivar problems: what prevents the jobs from being up to date; empty if they are
    """

    version: str
    is_reading: bool
    problems: list[str]


class TaskAnswer(Answer):
    """The Airflow task of a job."""

    source: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    url: str | None


class ProgressAnswer(Answer):
    """The progress of a job."""

    completed: float
    total: float | None
    unit: str | None


class ErrorAnswer(Answer):
    """The error of a job. ``details`` are in its time line only."""

    type: str
    message: str
    details: str | None
    retryable: bool


class CancelAnswer(Answer):
    """The first CANCEL command of a job."""

    reason: str
    issued_at: datetime


class JobAnswer(Answer):
    """A job. ``waited`` and ``ran`` are seconds."""

    correlation_id: str
    state: ShownState
    job_type: str | None
    topic: str | None
    task: TaskAnswer | None
    worker_id: str | None
    external_id: str | None
    checkpoint: str | None
    message: str | None
    progress: ProgressAnswer | None
    seconds_left: float | None
    delivery: int
    requested_at: datetime | None
    accepted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    changed_at: datetime | None
    waited: Seconds | None
    ran: Seconds | None
    error: ErrorAnswer | None
    cancel: CancelAnswer | None


class JobsAnswer(Answer):
    """Some of the jobs, those with the latest change first. ``total``: how many are selected."""

    status: Status
    jobs: list[JobAnswer]
    total: int


class DurationsAnswer(Answer):
    """The median and the 95th percentile, in seconds."""

    p50: float
    p95: float


class QueueAnswer(Answer):
    """The jobs of one request topic."""

    topic: str
    queued: int
    held: int
    oldest_queued_since: datetime | None
    ended_per_minute: float
    failed_per_minute: float
    waiting: DurationsAnswer | None
    running: DurationsAnswer | None


class QueuesAnswer(Answer):
    """All request topics."""

    status: Status
    queues: list[QueueAnswer]


class WorkerAnswer(Answer):
    """A worker."""

    worker_id: str
    state: WorkerState
    held: int
    topics: list[str]
    last_event_at: datetime


class WorkersAnswer(Answer):
    """The workers, those with the latest event first. ``total``: how many there are."""

    status: Status
    workers: list[WorkerAnswer]
    total: int


class EventAnswer(Answer):
    """One event of a job. ``is_stale``: it changed nothing. ``result_size`` is in bytes."""

    state: JobState
    occurred_at: datetime
    delivery: int
    worker_id: str
    message: str | None
    progress: ProgressAnswer | None
    external_id: str | None
    error: ErrorAnswer | None
    result_type: str | None
    result_size: int | None
    result_uri: str | None
    location: str
    is_stale: bool


class TimelineAnswer(Answer):
    """Everything about one job, except its payload and its result.

    :ivar waiting_before: jobs of its topic that have waited longer; None if it does not wait
    :ivar left_out: how many events in the middle are not in ``events``
    :ivar unreadable: its records that cannot be decoded, with the reasons
    :ivar failures: why topics could not be read
    """

    job: JobAnswer
    request_location: str | None
    attempt: int | None
    payload_type: str | None
    payload_size: int | None
    waiting_before: int | None
    events: list[EventAnswer]
    left_out: int
    unreadable: list[str]
    failures: list[str]
    may_see_payload: bool
    may_cancel: bool


class DataAnswer(Answer):
    """A payload or a result. ``text`` is None if the bytes are not UTF-8. ``size`` is in bytes."""

    media_type: str | None
    size: int
    text: str | None


class JobDataAnswer(Answer):
    """The payload and the result of a job; None for one that it does not have."""

    payload: DataAnswer | None
    result: DataAnswer | None


class Changes(Answer):
    """What has changed since the last message of a stream.

    Fields that were not asked for are None.

    :ivar reload: whether so much has changed that all jobs have to be asked for again
    :ivar removed: ids of jobs that are no longer selected
    """

    status: Status
    reload: bool = False
    jobs: list[JobAnswer] | None = None
    removed: list[str] | None = None
    queues: list[QueueAnswer] | None = None
    workers: list[WorkerAnswer] | None = None


def job_answer(view: JobView) -> JobAnswer:
    """Return a job as the board shows it."""
    return JobAnswer.model_validate(view)


def timeline_answer(
    found: JobTimeline, waiting_before: int | None, *, may_see_payload: bool, may_cancel: bool
) -> TimelineAnswer:
    """Return everything about a job."""
    events, left_out = found.events, max(0, len(found.events) - MOST_EVENTS)
    if left_out:
        events = [*events[: MOST_EVENTS // 2], *events[-MOST_EVENTS // 2 :]]
    request = found.job.request
    return TimelineAnswer(
        job=job_answer(found.job),
        request_location=str(request.location) if request else None,
        attempt=request.attempt if request else None,
        payload_type=found.payload_type,
        payload_size=None if found.payload is None else len(found.payload),
        waiting_before=waiting_before,
        events=[_event(each) for each in events],
        left_out=left_out,
        unreadable=[block(str(each), 1_000) for each in found.unreadable[:100]],
        failures=[str(each) for each in found.failures],
        may_see_payload=may_see_payload,
        may_cancel=may_cancel and not found.job.state.is_end,
    )


def _event(each: TimelineEvent) -> EventAnswer:
    event = each.event
    return EventAnswer(
        state=event.state,
        occurred_at=event.occurred_at,
        delivery=event.delivery,
        worker_id=event.worker_id,
        message=event.message,
        progress=event.progress and ProgressAnswer.model_validate(event.progress),
        external_id=event.external_id,
        error=event.error and ErrorAnswer.model_validate(event.error),
        result_type=event.result_type,
        result_size=None if event.result is None else len(event.result),
        result_uri=event.result_ref.uri if event.result_ref else None,
        location=str(each.location),
        is_stale=each.is_stale,
    )


def data_answer(found: JobTimeline) -> JobDataAnswer:
    """Return the payload and the result of a job."""
    end = found.end
    return JobDataAnswer(
        payload=data_of(found.payload, found.payload_type),
        result=data_of(end.result, end.result_type) if end else None,
    )


def data_of(data: bytes | None, media_type: str | None) -> DataAnswer | None:
    """Return bytes from outside as text that is safe to show; None if there are none."""
    if data is None:
        return None
    try:
        text = block(data.decode(), DATA_BYTES)
    except UnicodeDecodeError:
        text = None
    return DataAnswer(media_type=media_type, size=len(data), text=text)
