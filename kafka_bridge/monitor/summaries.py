"""What the jobs together say of their services and of the workers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kafka_bridge.monitor.jobs import (
    Durations,
    JobView,
    ServiceView,
    ShownState,
    WorkerState,
    WorkerView,
)

WINDOW = timedelta(minutes=15)
"""Rates and durations are those of the jobs that ended in the last minutes."""
SILENT_INTERVALS = 3
"""After so many heartbeat intervals without an event a worker is silent."""
LEAST_SILENCE = timedelta(seconds=30)
"""The shortest silence that counts: Kafka's own session timeout."""


def services(
    jobs: Iterable[JobView], now: datetime, topics: Iterable[str] = (), window: timedelta = WINDOW
) -> list[ServiceView]:
    """Return what the jobs say of each request topic, in the order of the topics' names.

    Jobs whose request is unknown do not count.

    :param topics: request topics that are in the answer even without jobs
    :param window: rates and durations are of jobs that ended within this time before ``now``
    """
    tallies: dict[str, _Tally] = {topic: _Tally() for topic in topics}
    for job in jobs:
        if job.topic is not None:
            tallies.setdefault(job.topic, _Tally()).add(job, now - window)
    minutes = window / timedelta(minutes=1)
    return [tallies[topic].view(topic, minutes) for topic in sorted(tallies)]


@dataclass(slots=True)
class _Tally:
    queued: int = 0
    held: int = 0
    ended: int = 0
    failed: int = 0
    oldest: datetime | None = None
    waited: list[float] = field(default_factory=list)
    ran: list[float] = field(default_factory=list)

    def add(self, job: JobView, since: datetime) -> None:
        if job.state is ShownState.QUEUED:
            self.queued += 1
            if (at := job.queued_since) is not None:
                self.oldest = min(at, self.oldest or at)
        elif job.state.is_held:
            self.held += 1
        elif job.ended_at is not None and job.ended_at >= since:
            self.ended += 1
            self.failed += job.state is ShownState.FAILED
            self.waited += [job.waited.total_seconds()] if job.waited is not None else []
            self.ran += [job.ran.total_seconds()] if job.ran is not None else []

    def view(self, topic: str, minutes: float) -> ServiceView:
        return ServiceView(
            topic=topic,
            queued=self.queued,
            held=self.held,
            oldest_queued_since=self.oldest,
            ended_per_minute=self.ended / minutes,
            failed_per_minute=self.failed / minutes,
            waiting=durations(self.waited),
            running=durations(self.ran),
        )


@dataclass(slots=True)
class TypeCounts:
    """The jobs of one type in one request topic that have not ended.

    :ivar oldest_queued_since: since when the longest waiting queued job waits
    """

    queued: int = 0
    held: int = 0
    oldest_queued_since: datetime | None = None

    def add(self, job: JobView) -> None:
        """Count a job."""
        if job.state is ShownState.QUEUED:
            self.queued += 1
            if (at := job.queued_since) is not None:
                self.oldest_queued_since = min(at, self.oldest_queued_since or at)
        elif job.state.is_held:
            self.held += 1


def by_type(jobs: Iterable[JobView]) -> dict[tuple[str, str | None], TypeCounts]:
    """Return by request topic and job type how many jobs wait and run.

    Jobs whose request is unknown do not count.
    """
    found: defaultdict[tuple[str, str | None], TypeCounts] = defaultdict(TypeCounts)
    for job in jobs:
        if job.topic is not None:
            found[job.topic, job.job_type].add(job)
    return dict(found)


def durations(seconds: list[float]) -> Durations | None:
    """Return the percentiles of some durations (nearest rank); None of none."""
    if not seconds:
        return None
    ordered = sorted(seconds)

    def rank(share: float) -> float:
        return ordered[math.ceil(share * len(ordered)) - 1]

    return Durations(p50=rank(0.5), p95=rank(0.95))


def workers(
    jobs: Iterable[JobView], heard: Mapping[str, datetime], now: datetime
) -> list[WorkerView]:
    """Return the workers, in the order of their ids.

    :param heard: by worker id, when each was last heard of
    """
    held: dict[str, list[JobView]] = defaultdict(list)
    for job in jobs:
        if job.worker_id is not None and job.state.is_held:
            held[job.worker_id].append(job)
    return [_worker(name, held.get(name, []), heard[name], now) for name in sorted(heard)]


def _worker(name: str, jobs: list[JobView], heard_at: datetime, now: datetime) -> WorkerView:
    topics = {job.topic for job in jobs if job.topic is not None}
    state = WorkerState.ALIVE if jobs else WorkerState.IDLE
    limit = _longest_silence(jobs)
    if limit is not None and now - heard_at > limit:
        state = WorkerState.SILENT
    return WorkerView(
        worker_id=name,
        state=state,
        held=len(jobs),
        topics=tuple(sorted(topics)),
        last_event_at=heard_at,
    )


def _longest_silence(jobs: Iterable[JobView]) -> timedelta | None:
    """Return after which silence the worker of these jobs is silent; None if no job tells."""
    intervals = [
        job.request.heartbeat_seconds
        for job in jobs
        if job.request and job.request.heartbeat_seconds
    ]
    if not intervals:
        return None
    return max(LEAST_SILENCE, SILENT_INTERVALS * timedelta(seconds=min(intervals)))
