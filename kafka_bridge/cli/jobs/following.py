"""Follow jobs until somebody has seen enough."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import typer

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.monitor.book import JobBook
from kafka_bridge.monitor.follower import JobFollower
from kafka_bridge.monitor.intake import TopicKind
from kafka_bridge.monitor.jobs import JobView, ShownState
from kafka_bridge.monitor.reading import MonitoredTopics

LOOK_SECONDS = 0.5
"""How long to wait for a change before looking whether the follower still runs."""
INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


class FollowedJobs:
    """A book that is kept up to date, and its changes."""

    def __init__(self, book: JobBook, follower: JobFollower) -> None:
        self.book = book
        self._follower = follower

    def wait_until_caught_up(self) -> None:
        """Wait until all that the topics have was read. Say on standard error what cannot be."""
        while not self._follower.wait_until_caught_up(LOOK_SECONDS):
            pass
        for status in self._follower.statuses():
            if status.failure is not None and status.kind is not TopicKind.CONTROL:
                typer.echo(f"Topic {status.topic} is not read: {status.failure}", err=True)

    def of(self, job: str) -> Iterator[JobView]:
        """Yield a job as it is, and then after each change, until it has ended."""
        last: JobView | None = None
        while True:
            version = self.book.version
            view = self.book.job(job)
            if view is not None and view != last:
                yield view
                if view.state.is_end:
                    return
                last = view
            self.wait(version)

    def all(self) -> Iterator[JobView]:
        """Yield the jobs that have not ended, and then each job that changes."""
        version = self.book.version
        yield from self.book.live_jobs()
        while True:
            self.wait(version)
            changes = self.book.changes(version)
            version = changes.version
            yield from reversed(changes.jobs)

    def wait(self, version: int) -> None:
        """Wait for a moment, or until something has changed since a version.

        :raises ReaderClosed: the follower has ended because of a bug
        """
        self.book.wait(version, LOOK_SECONDS)
        self._follower.check()


@contextmanager
def following(
    config: KafkaConfig, topics: MonitoredTopics, since: datetime
) -> Iterator[FollowedJobs]:
    """Follow the topics from a time on while the context lasts."""
    book = JobBook()
    follower = JobFollower(config, topics, since, book)
    try:
        yield FollowedJobs(book, follower)
    finally:
        follower.close()


def exit_code(job: JobView) -> int:
    """Return 0 for a job that has succeeded, or else 1."""
    return 0 if job.state is ShownState.SUCCEEDED else 1
