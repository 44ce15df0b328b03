"""Keeps what is known of the jobs, in bounded memory, from records in any order.

Events may come before their request, and a CANCEL before both: records of different topics have no
common order. The events of one job come in the order of their partition.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from kafka_bridge.monitor.jobs import CancelView, JobView, RequestView, ShownState
from kafka_bridge.monitor.transitions import (
    cancel_view,
    request_view,
    with_cancel,
    with_event,
    with_request,
)
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.messages import Command, JobCommand, JobRequest, StatusEvent, utc_now
from kafka_bridge.protocol.recent_ids import RecentIds

T = TypeVar("T")

PLAIN = "(plain)"
"""The job type of plain requests, which do not say theirs."""
OTHERS = "(others)"
"""The job type of what is not counted by its own: any client can invent job types."""
MOST_COUNTS = 1_000
"""How many combinations of topic, job type and state are counted apart."""

MOST_REMOVALS = 10_000
"""How many removals are remembered for :meth:`JobBook.changes`."""
MOST_WORKERS = 10_000
MOST_EARLY = 20_000
"""How many CANCELs, and how many plain replies, wait for the first record of their job."""
MOST_GONE = 1_000_000
"""How many ended jobs are recognised, in 20 bytes each, after they were dropped."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a book keeps. A job takes about 1.5 KB.

    :ivar live: the most jobs that have not ended; those without news for longest are dropped
    :ivar ended: the most ended jobs; those that ended first are dropped
    :ivar live_age: jobs without news for so long are dropped
    :ivar ended_age: ended jobs are dropped so long after their end
    """

    live: int = 100_000
    ended: int = 50_000
    live_age: timedelta = timedelta(days=7)
    ended_age: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class BookCounts:
    """What a book has done.

    :ivar live: jobs that have not ended
    :ivar ended: ended jobs
    :ivar dropped_live: jobs that had not ended and were dropped to bound the memory
    :ivar dropped_ended: ended jobs that were dropped
    :ivar stale: events that changed nothing: of an older delivery, or after the end
    """

    live: int
    ended: int
    dropped_live: int
    dropped_ended: int
    stale: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed in a book since a version.

    :ivar version: ask for the changes since this one next
    :ivar jobs: the jobs that are new or have changed, the last change first
    :ivar removed: the jobs that were dropped: only their ids and their requests
    :ivar is_complete: False if the version is too old: ``jobs`` is then all there is, and what is
        not among them was dropped
    """

    version: int
    jobs: list[JobView]
    removed: list[JobView]
    is_complete: bool


class Ended:
    """Counts the jobs that have ended, for ever, while the jobs themselves are dropped."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, ShownState]] = Counter()

    def note(self, view: JobView, before: JobView | None) -> None:
        """Count a job that has ended, once. It has a topic when its request has been read.

        :param before: the job before, if it had ended then
        """
        if view.topic is None or (before is not None and before.topic is not None):
            return
        key = view.topic, view.job_type or PLAIN, view.state
        if key not in self._counts and len(self._counts) >= MOST_COUNTS:
            key = view.topic, OTHERS, view.state
        self._counts[key] += 1

    def counts(self) -> dict[tuple[str, str, ShownState], int]:
        """Return how many ended, by request topic, job type and state."""
        return dict(self._counts)


class JobBook:
    """The jobs, by correlation id. Safe to share between threads.

    :param now: the clock. No time in a record counts as later than it
    """

    def __init__(self, limits: Limits | None = None, now: Callable[[], datetime] = utc_now) -> None:
        self._limits = limits or Limits()
        self._now = now
        self._live = _Shelf()
        self._ended = _Shelf()
        self._gone = RecentIds(MOST_GONE)
        self._early_cancels = _Waiting[CancelView](MOST_EARLY)
        self._early_replies = _Waiting[tuple[StatusEvent, RecordLocation]](MOST_EARLY)
        self._workers: OrderedDict[str, datetime] = OrderedDict()
        self._removals: deque[tuple[int, JobView]] = deque(maxlen=MOST_REMOVALS)
        self._ended_counts = Ended()
        self._stale = 0
        self._version = 0
        self._changed = threading.Condition()

    # Records come.

    def take_request(self, request: JobRequest, location: RecordLocation) -> None:
        """Take a job request."""
        self._take_request(request.correlation_id, request_view(request, location))

    def take_plain_request(self, job: str, request: RequestView) -> None:
        """Take a plain request, which says less.

        :param job: the correlation id
        """
        self._take_request(job, request)

    def _take_request(self, job: str, request: RequestView) -> None:
        with self._changed:
            if (view := self._known(job)) is None:
                return
            request = replace(request, requested_at=min(request.requested_at, self._now()))
            view = with_request(view, request)
            reply = self._early_replies.pop(job)
            if reply is not None and request.is_plain:
                view = self._with_event(view, *reply) or view
            self._put(view)

    def take_event(self, event: StatusEvent, location: RecordLocation) -> None:
        """Take a status event."""
        with self._changed:
            self._note_worker(event)
            view = self._known(event.correlation_id)
            changed = view and self._with_event(view, event, location)
            if changed is None:
                self._stale += 1
            else:
                self._put(changed)

    def take_reply(self, reply: StatusEvent, location: RecordLocation) -> bool:
        """Take what may be a plain reply; return False if its job has another kind of request.

        It waits for its request if that has not been read.

        :param reply: as a terminal event
        """
        job = reply.correlation_id
        with self._changed:
            view = self._live.get(job) or self._ended.get(job)
            if view is None or view.request is None:
                self._early_replies.put(
                    job, (replace(reply, result=None, result_type=None), location)
                )
                return True
            if view.request.is_plain and (changed := self._with_event(view, reply, location)):
                self._put(changed)
            return view.request.is_plain

    def take_command(self, command: JobCommand) -> None:
        """Take a job command. It waits for its job if nothing of that has been read."""
        if command.command is not Command.CANCEL:
            return
        job, cancel = command.correlation_id, cancel_view(command)
        with self._changed:
            view = self._live.get(job) or self._ended.get(job)
            if view is not None:
                self._put(with_cancel(view, cancel))
            elif job.encode() not in self._gone:
                before = self._early_cancels.get(job)
                if before is None or cancel.issued_at < before.issued_at:
                    self._early_cancels.put(job, cancel)

    def _known(self, job: str) -> JobView | None:
        """Return what is known of a job, if only its id; None if it ended and was dropped."""
        view = self._live.get(job) or self._ended.get(job)
        if view is not None:
            return view
        if job.encode() in self._gone:
            return None
        return JobView(correlation_id=job, cancel=self._early_cancels.pop(job))

    def _with_event(
        self, view: JobView, event: StatusEvent, location: RecordLocation
    ) -> JobView | None:
        return with_event(view, event, min(event.occurred_at, self._now()), location)

    def _note_worker(self, event: StatusEvent) -> None:
        if not event.worker_id:
            return
        at = min(event.occurred_at, self._now())
        before = self._workers.pop(event.worker_id, at)
        self._workers[event.worker_id] = max(at, before)
        if len(self._workers) > MOST_WORKERS:
            self._workers.popitem(last=False)

    def _put(self, view: JobView) -> None:
        self._version += 1
        job = view.correlation_id
        if view.state.is_end:
            self._ended_counts.note(view, self._ended.get(job))
            self._live.remove(job)
            self._ended.put(self._version, view)
        else:
            self._live.put(self._version, view)
        self._drop_what_is_too_much()
        self._changed.notify_all()

    def _drop_what_is_too_much(self) -> None:
        now, limits = self._now(), self._limits
        for view in self._ended.drop(limits.ended, now - limits.ended_age):
            self._gone.add(view.correlation_id.encode())
            self._note_removal(view)
        for view in self._live.drop(limits.live, now - limits.live_age):
            self._note_removal(view)

    def _note_removal(self, view: JobView) -> None:
        self._version += 1
        short = JobView(correlation_id=view.correlation_id, request=view.request)
        self._removals.append((self._version, short))

    # What is known.

    @property
    def version(self) -> int:
        """A number that grows with each change."""
        return self._version

    @property
    def counts(self) -> BookCounts:
        """What the book holds, and what it has dropped."""
        with self._changed:
            return BookCounts(
                live=len(self._live),
                ended=len(self._ended),
                dropped_live=self._live.dropped,
                dropped_ended=self._ended.dropped,
                stale=self._stale,
            )

    def ended_counts(self) -> Mapping[tuple[str, str, ShownState], int]:
        """Return by request topic, job type and state how many jobs have ended, also dropped ones.

        Job types of plain requests are :data:`PLAIN`; beyond many, new ones are :data:`OTHERS`.
        """
        with self._changed:
            return self._ended_counts.counts()

    def job(self, correlation_id: str) -> JobView | None:
        """Return what is known of a job, or None."""
        with self._changed:
            return self._live.get(correlation_id) or self._ended.get(correlation_id)

    def jobs(self) -> list[JobView]:
        """Return all jobs, in no order."""
        with self._changed:
            return [*self._live, *self._ended]

    def live_jobs(self) -> list[JobView]:
        """Return the jobs that have not ended, in no order."""
        with self._changed:
            return list(self._live)

    def worker_times(self) -> Mapping[str, datetime]:
        """Return by worker id when each worker was last heard of."""
        with self._changed:
            return dict(self._workers)

    def changes(self, since: int) -> Changes:
        """Return what has changed since a version; 0 gives all jobs."""
        with self._changed:
            jobs = [*self._live.since(since), *self._ended.since(since)]
            removed = [job for version, job in self._removals if version > since]
            forgotten = len(removed) == MOST_REMOVALS
            if since > 0 and forgotten:
                jobs = [*self._live, *self._ended]
            return Changes(self._version, jobs, removed, is_complete=since == 0 or not forgotten)

    def wait(self, since: int, timeout: float) -> bool:
        """Wait until something has changed since a version; return whether it has.

        :param timeout: seconds
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._version > since, timeout)


class _Shelf:
    """Jobs in the order of their last change."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, tuple[int, JobView]] = OrderedDict()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[JobView]:
        return (view for _, view in self._jobs.values())

    def get(self, job: str) -> JobView | None:
        entry = self._jobs.get(job)
        return None if entry is None else entry[1]

    def put(self, version: int, view: JobView) -> None:
        job = view.correlation_id
        self._jobs[job] = version, view
        self._jobs.move_to_end(job)

    def remove(self, job: str) -> None:
        self._jobs.pop(job, None)

    def since(self, version: int) -> Iterator[JobView]:
        for changed, view in reversed(self._jobs.values()):
            if changed <= version:
                return
            yield view

    def drop(self, most: int, before: datetime) -> Iterable[JobView]:
        """Yield and drop the jobs that changed first, while there are too many or it is old."""
        while self._jobs:
            _, first = next(iter(self._jobs.values()))
            changed_at = first.changed_at
            if len(self._jobs) <= most and (changed_at is None or changed_at >= before):
                return
            self._jobs.popitem(last=False)
            self.dropped += 1
            yield first


class _Waiting(Generic[T]):
    """Values by job, until something else of the job is read; the oldest are dropped."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[str, T] = OrderedDict()

    def get(self, job: str) -> T | None:
        return self._values.get(job)

    def pop(self, job: str) -> T | None:
        return self._values.pop(job, None)

    def put(self, job: str, value: T) -> None:
        self._values[job] = value
        if len(self._values) > self._most:
            self._values.popitem(last=False)
