"""Server-sent events: what changes, at most once a second for each visitor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from anyio import CapacityLimiter, to_thread

from kafka_bridge.board.access import Access
from kafka_bridge.board.answers import Changes, Status, job_answer
from kafka_bridge.board.queries import Summaries, status
from kafka_bridge.board.source import FollowedJobs, JobSource
from kafka_bridge.monitor.selection import JobSelection

INTERVAL_SECONDS = 1.0
SUMMARY_SECONDS = 5.0
"""Rates and the silence of workers change with time, also if nothing is published."""
HEARTBEAT_SECONDS = 15.0
"""A comment is sent after so much silence, so that no proxy closes the connection."""
LONGEST_SECONDS = 600.0
"""Then the browser connects again."""
LOGIN_SECONDS = 30.0
"""How long a stream goes on after the login of its visitor has ended."""
RECONNECT_MS = 3_000
MOST_CHANGES = 1_000
"""After more changes than that, the page asks for all jobs again."""


class Shown(StrEnum):
    """What a page shows, and so what a stream tells."""

    JOBS = "jobs"
    QUEUES = "queues"
    WORKERS = "workers"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a visitor wants to be told.

    :ivar since: the version of the last answer that the visitor has; None: there is none
    """

    access: Access
    shown: frozenset[Shown]
    selection: JobSelection
    since: str | None = None


class ChangeReader:
    """Tells one visitor what has changed since it was last asked. For one thread at a time.

    :param clock: returns monotonic seconds
    """

    def __init__(
        self,
        jobs: FollowedJobs,
        wanted: Wanted,
        summaries: Summaries,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = jobs
        self._wanted = wanted
        self._summaries = summaries
        self._clock = clock
        self._must_reload = False
        self._version = self._version_of(wanted.since)
        self._told: Status | None = None
        self._summary_at = float("-inf")

    def _version_of(self, since: str | None) -> int:
        now = self._jobs.book.version
        epoch, _, number = (since or "").partition("-")
        is_known = epoch == self._jobs.epoch and number.isdecimal() and len(number) < 19
        if is_known and int(number) <= now:
            return int(number)
        self._must_reload = since is not None
        return now

    @property
    def is_due(self) -> bool:
        """Whether there may be something to tell. It is quick."""
        return (
            self._told is None
            or self._version != self._jobs.book.version
            or self._told != status(self._jobs, self._version)
            or self._is_summary_due()
        )

    def _is_summary_due(self) -> bool:
        is_wanted = self._wanted.shown & {Shown.QUEUES, Shown.WORKERS}
        return bool(is_wanted) and self._clock() - self._summary_at >= SUMMARY_SECONDS

    def read(self) -> Changes | None:
        """Return what there is to tell, or None. It takes a while if there are many jobs."""
        fields: dict[str, object] = {}
        version = self._jobs.book.version
        if Shown.JOBS in self._wanted.shown:
            version, jobs = self._changed_jobs()
            fields |= jobs
        if self._is_summary_due():
            fields |= self._changed_summary()
        now = status(self._jobs, version)
        is_news = bool(fields) or self._told is None or _problems(now) != _problems(self._told)
        self._version, self._told = version, now
        return Changes.model_validate({"status": now, **fields}) if is_news else None

    def _changed_jobs(self) -> tuple[int, dict[str, object]]:
        """Return the version that was read, and what has changed up to it."""
        since, access = self._version, self._wanted.access
        if self._must_reload or since == 0:
            self._must_reload = False
            version = self._jobs.book.version
            return version, {"reload": True} if version or since else {}
        changes = self._jobs.book.changes(since)
        if not changes.is_complete or len(changes.jobs) > MOST_CHANGES:
            return changes.version, {"reload": True}
        seen = [each for each in changes.jobs if access.may_see(each)]
        wanted = [each for each in seen if self._wanted.selection.includes(each)]
        others = {each.correlation_id for each in seen}
        others -= {each.correlation_id for each in wanted}
        gone = [each.correlation_id for each in changes.removed if access.may_see(each)]
        removed = [*others, *gone]
        if not wanted and not removed:
            return changes.version, {}
        return changes.version, {"jobs": [job_answer(each) for each in wanted], "removed": removed}

    def _changed_summary(self) -> dict[str, object]:
        self._summary_at = self._clock()
        summary = self._summaries.of(self._jobs, self._wanted.access)
        found = {Shown.QUEUES: summary.queues, Shown.WORKERS: summary.workers}
        return {name.value: each for name, each in found.items() if name in self._wanted.shown}


def _problems(of: Status) -> tuple[bool, list[str]]:
    return of.is_reading, of.problems


async def events(
    source: JobSource,
    wanted: Wanted,
    summaries: Summaries,
    limiter: CapacityLimiter,
    is_ending: Callable[[], bool],
    access_now: Callable[[], Awaitable[Access | None]],
    interval: float = INTERVAL_SECONDS,
) -> AsyncIterator[str]:
    """Yield the text of a stream of events: the first one at once, then what changes.

    :param limiter: how many streams may use a thread at the same time
    :param is_ending: whether the server stops; then the stream ends
    :param access_now: what the visitor may do now; if it is not what it was, the stream ends, and
        the browser connects again with the login that it has now
    :param interval: seconds between two messages
    """
    yield f"retry: {RECONNECT_MS}\n\n"
    with source.visit() as jobs:
        reader = ChangeReader(jobs, wanted, summaries)
        began = sent = checked = time.monotonic()
        while not is_ending() and time.monotonic() - began < LONGEST_SECONDS:
            if time.monotonic() - checked >= LOGIN_SECONDS:
                if await access_now() != wanted.access:
                    return
                checked = time.monotonic()
            changes = None
            if reader.is_due:
                changes = await to_thread.run_sync(reader.read, limiter=limiter)
            if changes is not None:
                yield _message(changes)
                sent = time.monotonic()
            elif time.monotonic() - sent >= HEARTBEAT_SECONDS:
                yield ": still connected\n\n"
                sent = time.monotonic()
            await asyncio.sleep(interval)


def _message(changes: Changes) -> str:
    data = changes.model_dump_json(exclude_none=False)
    return f"id: {changes.status.version}\nevent: changes\ndata: {data}\n\n"
