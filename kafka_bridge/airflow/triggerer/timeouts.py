"""The timeouts that end a wait: what all waits share, and those of one job. Times are seconds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from kafka_bridge.airflow.specs import WaitSpec
from kafka_bridge.protocol.checkpoint import checkpoint_in
from kafka_bridge.protocol.event_head import EventHead
from kafka_bridge.protocol.lifecycle import JobHistory, Verdict
from kafka_bridge.protocol.messages import ErrorType, JobState, Progress, StatusEvent
from kafka_bridge.protocol.progress_text import duration

MARGIN_SECONDS = 30.0
"""No timeout ends a wait earlier than this after the wait began, or after the reader became live:
older events are still to be read, and workers that were cut off as well have to publish again."""


@dataclass(frozen=True, slots=True, order=True)
class Deadline:
    """When a timeout ends the wait (seconds since 1970), and as what."""

    at: float
    reason: ErrorType = field(compare=False)
    message: str = field(compare=False)


class Timeouts(ABC):
    """What ends a wait if nothing else does.

    ``live_since`` is since when the reader is live: before that, a missing event proves nothing.
    It is in seconds since 1970, and infinite while the reader is not live. The caller sets it.

    :param began: when this wait began, seconds since 1970
    """

    __slots__ = ("_began", "_last_event_at", "live_since")

    def __init__(self, began: float) -> None:
        self.live_since = 0.0
        self._began = self._last_event_at = began

    def deadline(self) -> Deadline | None:
        """Return what ends the wait first, or None if no timeout applies now."""
        if self.live_since == math.inf:
            return None
        return min(self._deadlines(), default=None)

    def expired(self, now: float) -> Deadline | None:
        """Return the deadline that has passed, or None."""
        deadline = self.deadline()
        return deadline if deadline is not None and deadline.at <= now else None

    @abstractmethod
    def _deadlines(self) -> Iterator[Deadline]:
        """Give a deadline for each timeout that applies now."""

    @property
    def proves_something_at(self) -> float:
        """Before this moment, that an event is missing proves nothing; infinite if never."""
        return max(self._began, self.live_since) + MARGIN_SECONDS

    def _deadline(self, at: float, reason: ErrorType, message: str) -> Deadline:
        return Deadline(max(at, self.proves_something_at), reason, message)


class _News(NamedTuple):
    """What was said last about one delivery of a job."""

    delivery: int
    state: JobState | None = None
    progress: Progress | None = None
    message: str | None = None
    external_id: str | None = None
    checkpoint: int | None = None
    """A hash: of thousands of waiting jobs, the checkpoints would take much memory."""


def not_finished(limit: float) -> str:
    """Return what has happened when ``schedule_to_close_timeout`` has passed.

    :param limit: the timeout in seconds
    """
    return f"the job has not finished within {limit:g} s of its task's first submission"


class JobTimeouts(Timeouts):
    """The timeouts of one job."""

    __slots__ = ("_moved_at", "_news", "_queued_at", "_spec", "_started_at", "_worker", "history")

    def __init__(self, spec: WaitSpec, began: float) -> None:
        super().__init__(began)
        self.history = JobHistory()
        self._spec = spec
        self._queued_at = spec.submitted_at
        self._started_at: float | None = None
        self._worker = "the worker"
        self._moved_at = began
        self._news: _News | None = None

    @property
    def queued_since(self) -> float | None:
        """Since when the job waits for a worker, seconds since 1970; None: a worker has it."""
        return self._queued_at if self._started_at is None else None

    @property
    def silent_at(self) -> float:
        """When half of the heartbeat timeout has passed without an event; infinite without one."""
        limit = self._spec.heartbeat_timeout
        if limit is None or self._started_at is None:
            return math.inf
        return max(self._last_event_at, self._began, self.live_since) + limit / 2

    def silence(self, now: float) -> str:
        """Return for the log how long the worker has published nothing."""
        worker, silent = self._worker, duration(now - self._last_event_at)
        return (
            f"{worker[0].upper()}{worker[1:]} has published nothing for {silent}; "
            f"the task stops waiting after {self._spec.heartbeat_timeout:g} s"
        )

    def apply(self, event: StatusEvent | EventHead, now: float) -> Verdict:
        """Apply an event that arrived now; return whether it counts.

        :param event: a whole event, or only its head: then the worker stays the last known one, and
            a job that starts with this event started now
        """
        verdict = self.history.take(event)
        if verdict is Verdict.STALE:
            return verdict
        self._last_event_at = now
        if isinstance(event, StatusEvent):
            self._worker = f"worker {event.worker_id}"
        if self.history.state is None:
            self._queued_at, self._started_at = now, None
        elif self._started_at is None:
            self._started_at = self._start(event, now)
        if self._spec.progress_timeout is not None and self._says_something_new(event):
            self._moved_at = now
        return verdict

    def _says_something_new(self, event: StatusEvent | EventHead) -> bool:
        """Tell whether an event is more than a heartbeat: some workers repeat their last report.

        Of a worker that publishes more events than are read, only heads are known: it does work.
        """
        if not isinstance(event, StatusEvent):
            return True
        before = self._news
        if before is None or before.delivery != event.delivery:
            before = _News(event.delivery)
        checkpoint = checkpoint_in(event)
        self._news = _News(
            event.delivery,
            event.state,
            event.progress or before.progress,
            event.message or before.message,
            event.external_id or before.external_id,
            before.checkpoint if checkpoint is None else hash(checkpoint),
        )
        return self._news != before

    def _start(self, event: StatusEvent | EventHead, now: float) -> float:
        """Return when the job started: the worker's clock may be wrong, but only within bounds."""
        if not isinstance(event, StatusEvent):
            return now
        return min(max(event.occurred_at.timestamp(), self._spec.submitted_at), now)

    def _deadlines(self) -> Iterator[Deadline]:
        if (limit := self._spec.schedule_to_close_timeout) is not None:  # of two, the first counts
            at = self._spec.first_submitted_at + limit
            yield self._deadline(at, ErrorType.NOT_FINISHED, not_finished(limit))
        if self._started_at is None:
            if (limit := self._spec.schedule_to_start_timeout) is not None:
                message = f"no worker accepted the job within {limit:g} s"
                yield self._deadline(self._queued_at + limit, ErrorType.NOT_STARTED, message)
            return
        if (limit := self._spec.heartbeat_timeout) is not None:
            message = f"{self._worker} has published nothing for {limit:g} s"
            yield self._deadline(self._last_event_at + limit, ErrorType.WORKER_LOST, message)
        if (limit := self._spec.progress_timeout) is not None:
            message = f"{self._worker} lives, but has reported nothing new for {limit:g} s"
            yield self._deadline(self._moved_at + limit, ErrorType.NO_PROGRESS, message)
        if (limit := self._spec.start_to_close_timeout) is not None:
            message = f"the job ran longer than {limit:g} s on {self._worker}"
            yield self._deadline(self._started_at + limit, ErrorType.DEADLINE_EXCEEDED, message)
