"""Answers about many jobs, for one visitor."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from kafka_bridge.board.access import Access
from kafka_bridge.board.answers import (
    JobsAnswer,
    QueueAnswer,
    Status,
    WorkerAnswer,
    job_answer,
)
from kafka_bridge.board.source import FollowedJobs
from kafka_bridge.monitor.jobs import JobView
from kafka_bridge.monitor.selection import JobSelection
from kafka_bridge.monitor.summaries import services, workers
from kafka_bridge.protocol.messages import utc_now

MOST_WORKERS = 1_000
"""How many workers are shown: those with the latest events."""


def status(jobs: FollowedJobs, version: int) -> Status:
    """Return how good an answer is that was made of this version of the book."""
    return Status(
        version=f"{jobs.epoch}-{version}",
        is_reading=jobs.is_reading,
        problems=jobs.problems(),
    )


def selected_jobs(
    jobs: FollowedJobs, access: Access, selection: JobSelection, offset: int, limit: int
) -> JobsAnswer:
    """Return some of the jobs that the visitor may see, those with the latest change first."""
    version = jobs.book.version
    chosen = [each for each in _seen(jobs, access) if selection.includes(each)]
    chosen.sort(key=lambda each: each.change_order, reverse=True)
    return JobsAnswer(
        status=status(jobs, version),
        jobs=[job_answer(each) for each in chosen[offset : offset + limit]],
        total=len(chosen),
    )


def waiting_before(jobs: FollowedJobs, job: JobView) -> int | None:
    """Return how many jobs of its request topic have waited for longer; None if it does not wait.

    They are those of all visitors: the worker runs them, too.
    """
    if (since := job.queued_since) is None:
        return None
    others = (each for each in jobs.book.live_jobs() if each.topic == job.topic)
    return sum(at < since for each in others if (at := each.queued_since) is not None)


def _seen(jobs: FollowedJobs, access: Access) -> Iterator[JobView]:
    return (each for each in jobs.book.jobs() if access.may_see(each))


@dataclass(frozen=True, slots=True)
class Summary:
    """What the jobs say of the queues and the workers. ``total_workers``: also those left out."""

    version: int
    queues: list[QueueAnswer]
    workers: list[WorkerAnswer]
    total_workers: int


def summarise(jobs: FollowedJobs, access: Access) -> Summary:
    """Summarise the jobs that the visitor may see.

    A visitor that may not see any job of a request topic or a worker does not see these, either.
    """
    now, version = utc_now(), jobs.book.version
    seen, heard = list(_seen(jobs, access)), jobs.book.worker_times()
    known = {each.worker_id for each in seen}
    found = workers(seen, {name: at for name, at in heard.items() if name in known}, now)
    found.sort(key=lambda each: each.last_event_at, reverse=True)
    return Summary(
        version=version,
        queues=[QueueAnswer.model_validate(each) for each in services(seen, now)],
        workers=[WorkerAnswer.model_validate(each) for each in found[:MOST_WORKERS]],
        total_workers=len(found),
    )


class Summaries:
    """Summaries for many visitors: those with the same access share one for some seconds.

    :param seconds: how old a summary may be
    """

    MOST = 100

    def __init__(self, seconds: float = 2.0) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._made: OrderedDict[tuple[str, Access], tuple[float, Summary]] = OrderedDict()

    def of(self, jobs: FollowedJobs, access: Access) -> Summary:
        """Return what the jobs say that the visitor may see."""
        key = jobs.epoch, access
        with self._lock:  # so that one thread makes it, and the others wait
            made = self._made.get(key)
            now = time.monotonic()
            if made is None or now - made[0] > self._seconds:
                made = self._made[key] = now, summarise(jobs, access)
                self._made.move_to_end(key)
            if len(self._made) > self.MOST:
                self._made.popitem(last=False)
            return made[1]
