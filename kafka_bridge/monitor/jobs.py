"""What is known of a job, as values. :class:`~kafka_bridge.monitor.book.JobBook` makes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.messages import JobFailure, JobState, Progress, Task

LEAST_SECONDS = 1.0
"""The shortest time of observed progress from which a rate is computed."""


class ShownState(StrEnum):
    """The state of a job: that of the protocol, or QUEUED for a job that no worker has."""

    QUEUED = "QUEUED"
    ACCEPTED = "ACCEPTED"
    RUNNING = "RUNNING"
    UNKNOWN = "UNKNOWN"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @classmethod
    def of(cls, state: JobState | None) -> ShownState:
        """Return the state to show for one of the protocol; None is a queued job."""
        return cls.QUEUED if state is None else cls(state)

    @property
    def is_end(self) -> bool:
        """Whether the job has ended."""
        return self in ENDS

    @property
    def is_held(self) -> bool:
        """Whether a worker has the job and has not finished it."""
        return self is not ShownState.QUEUED and self not in ENDS

    @property
    def in_protocol(self) -> JobState | None:
        """The protocol's own state; None for a queued job."""
        return None if self is ShownState.QUEUED else JobState(self)


ENDS = frozenset({ShownState.SUCCEEDED, ShownState.FAILED, ShownState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestView:
    """What a job's request says, without its payload.

    :ivar location: where the request lies; its payload can be read there
    :ivar job_type: None for a plain request, which does not say it
    :ivar heartbeat_seconds: the longest time between two events of its worker; 0: no heartbeats
    """

    location: RecordLocation
    requested_at: datetime
    response_topic: str
    job_type: str | None = None
    attempt: int = 1
    task: Task | None = None
    heartbeat_seconds: float = 0.0
    expires_at: datetime | None = None
    deadline: datetime | None = None
    is_plain: bool = False


@dataclass(frozen=True, slots=True)
class CancelView:
    """A CANCEL command: its reason, and when it was issued."""

    reason: str
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class ProgressMark:
    """The first progress of a delivery, from which the rate is computed."""

    at: datetime
    completed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """What is known of a job. Texts are safe to show. All times are in UTC.

    Times are those of the clocks of Airflow and of the workers, which may differ by some seconds.

    :ivar request: None if the request has not been read, for example because it is too old
    :ivar worker_id: who has the job, or had it last; None while it is queued
    :ivar delivery: how many times a worker has started the job; 0 before the first time
    :ivar checkpoint: what the handler saved last, as JSON text; a long one is cut
    :ivar accepted_at: when the first worker accepted the job
    :ivar started_at: when the current or last delivery started, if an event says so
    :ivar released_at: when a worker last returned the job to the queue
    :ivar error: without its details, which are in the record of the last event
    :ivar cancel: the first CANCEL command, if there is one
    :ivar last_event: where the record of the last event lies
    """

    correlation_id: str
    request: RequestView | None = None
    state: ShownState = ShownState.QUEUED
    delivery: int = 0
    worker_id: str | None = None
    external_id: str | None = None
    checkpoint: str | None = None
    message: str | None = None
    progress: Progress | None = None
    progress_at: datetime | None = None
    first_progress: ProgressMark | None = None
    accepted_at: datetime | None = None
    started_at: datetime | None = None
    released_at: datetime | None = None
    ended_at: datetime | None = None
    error: JobFailure | None = None
    cancel: CancelView | None = None
    last_event: RecordLocation | None = None
    last_event_at: datetime | None = None

    @property
    def job_type(self) -> str | None:
        """The job type, if the request says it."""
        return self.request.job_type if self.request else None

    @property
    def task(self) -> Task | None:
        """The Airflow task that submitted the job, if one did."""
        return self.request.task if self.request else None

    @property
    def topic(self) -> str | None:
        """The request topic."""
        return self.request.location.topic if self.request else None

    @property
    def requested_at(self) -> datetime | None:
        """When the request was created."""
        return self.request.requested_at if self.request else None

    @property
    def queued_since(self) -> datetime | None:
        """Since when a queued job waits; None for any other job, or if that is unknown."""
        if self.state is not ShownState.QUEUED:
            return None
        return self.released_at or self.requested_at

    @property
    def changed_at(self) -> datetime | None:
        """When something was last heard of the job."""
        return self.last_event_at or self.requested_at

    @property
    def change_order(self) -> datetime:
        """What to sort jobs by, so that the last change is last; unknown changes come first."""
        return self.changed_at or _LONG_AGO

    @property
    def waited(self) -> timedelta | None:
        """How long the job waited until the first worker accepted it."""
        return _between(self.requested_at, self.accepted_at)

    @property
    def ran(self) -> timedelta | None:
        """How long the last delivery of an ended job ran."""
        return _between(self.started_at, self.ended_at)

    @property
    def rate(self) -> float | None:
        """The amount of progress per second in this delivery; None while it is unknown."""
        first, now = self.first_progress, self.progress
        if first is None or now is None or self.progress_at is None:
            return None
        seconds = (self.progress_at - first.at).total_seconds()
        if seconds < LEAST_SECONDS or now.completed <= first.completed:
            return None
        rate = (now.completed - first.completed) / seconds
        return rate if math.isfinite(rate) else None

    @property
    def seconds_left(self) -> float | None:
        """How long a running job still needs at its rate, in seconds; None if that is unknown."""
        rate, now = self.rate, self.progress
        if not rate or now is None or now.total is None or not self.state.is_held:
            return None
        left = (now.total - now.completed) / rate
        return left if 0 <= left < _ETERNITY else None


_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_ETERNITY = 100 * 365 * 86_400.0
"""Seconds. A job that needs longer at its rate has no rate worth showing."""


def _between(start: datetime | None, end: datetime | None) -> timedelta | None:
    """Return the time between two moments of two clocks: not negative."""
    return None if start is None or end is None else max(timedelta(), end - start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """The median and the 95th percentile of some durations, in seconds."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """The jobs of one request topic.

    :ivar topic: the request topic
    :ivar queued: how many jobs no worker has
    :ivar held: how many jobs a worker has and has not finished
    :ivar oldest_queued_since: since when the longest waiting queued job waits
    :ivar ended_per_minute: over the last minutes; failed jobs are among them
    :ivar waiting: of the jobs that ended in the last minutes: from request to acceptance
    :ivar running: of the same jobs: the time that their last delivery took
    """

    topic: str
    queued: int
    held: int
    oldest_queued_since: datetime | None
    ended_per_minute: float
    failed_per_minute: float
    waiting: Durations | None
    running: Durations | None


class WorkerState(StrEnum):
    """Whether a worker is heard of."""

    ALIVE = "alive"
    """It has jobs, and its last event is recent."""
    SILENT = "silent"
    """It has jobs, but has published nothing for several heartbeat intervals."""
    IDLE = "idle"
    """It has no jobs. Workers without jobs publish nothing, so it may have stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker, as its events show it.

    :ivar held: how many jobs it has and has not finished
    :ivar topics: the request topics of these jobs, in order
    :ivar last_event_at: when it last published an event
    """

    worker_id: str
    state: WorkerState
    held: int
    topics: tuple[str, ...]
    last_event_at: datetime
