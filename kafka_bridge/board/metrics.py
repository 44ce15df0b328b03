"""The board's metrics for Prometheus: how much work waits. Needs ``prometheus_client``.

They are about all jobs, by request topic and job type. While they would be wrong, because older
jobs are still being read or Kafka is away, they are absent: a scaler then leaves everything as it
is, and does not take a wrong zero for the truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from kafka_bridge.board.source import FollowedJobs
from kafka_bridge.monitor.book import OTHERS, PLAIN, JobBook
from kafka_bridge.monitor.intake import TopicKind
from kafka_bridge.monitor.jobs import WorkerState
from kafka_bridge.monitor.summaries import TypeCounts, by_type, workers
from kafka_bridge.protocol.messages import utc_now

PREFIX = "kafka_bridge_board"
CONTENT_TYPE = CONTENT_TYPE_LATEST
NO_TYPE = "(none)"
"""The job type of a request topic without jobs."""
MOST_TYPES = 500
"""How many pairs of topic and job type have series of their own: any client can invent types."""


def metrics_text(jobs: FollowedJobs) -> bytes:
    """Return the metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(JobCollector(jobs))
    return generate_latest(registry)


class JobCollector(Collector):
    """Makes the metrics of jobs that are being followed."""

    def __init__(self, jobs: FollowedJobs) -> None:
        self._jobs = jobs

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics. Those of the jobs are only there while they are right."""
        is_right = not self._jobs.is_reading and not self._jobs.problems()
        yield GaugeMetricFamily(
            f"{PREFIX}_up_to_date",
            "1 when the board has read all topics and follows them, else 0: then there are no "
            "metrics of jobs.",
            value=is_right,
        )
        if is_right:
            book, now = self._jobs.book, utc_now()
            yield from _of_types(book, now, _request_topics(self._jobs))
            yield _ended(book)
            yield _workers(book, now)


def _request_topics(jobs: FollowedJobs) -> Iterator[str]:
    return (each.topic for each in jobs.follower.statuses() if each.kind is TopicKind.REQUESTS)


def _of_types(book: JobBook, now: datetime, topics: Iterable[str]) -> Iterator[Metric]:
    counts = _with_few_types(by_type(book.live_jobs()))
    # A queue that is empty says 0.
    for topic, job_type, _ in book.ended_counts():
        counts.setdefault((topic, job_type), TypeCounts())
    for topic in {*topics} - {topic for topic, _ in counts}:
        counts[topic, NO_TYPE] = TypeCounts()
    labels = ("topic", "job_type")
    queued = GaugeMetricFamily(f"{PREFIX}_jobs_queued", "Jobs that no worker has.", labels=labels)
    oldest = GaugeMetricFamily(
        f"{PREFIX}_oldest_queued_seconds", "How long the oldest of them has waited.", labels=labels
    )
    running = GaugeMetricFamily(
        f"{PREFIX}_jobs_running", "Jobs that a worker has and has not finished.", labels=labels
    )
    for key, each in counts.items():
        since = each.oldest_queued_since
        queued.add_metric(key, each.queued)
        oldest.add_metric(key, 0.0 if since is None else max(0.0, (now - since).total_seconds()))
        running.add_metric(key, each.held)
    yield from (queued, oldest, running)


def _with_few_types(
    counts: dict[tuple[str, str | None], TypeCounts],
) -> dict[tuple[str, str], TypeCounts]:
    """Return the counts with the smallest types of each topic together, if there are too many."""

    def size(each: tuple[tuple[str, str | None], TypeCounts]) -> int:
        return each[1].queued + each[1].held

    found: dict[tuple[str, str], TypeCounts] = {}
    for number, ((topic, name), each) in enumerate(sorted(counts.items(), key=size, reverse=True)):
        label = OTHERS if number >= MOST_TYPES else name or PLAIN
        together = found.setdefault((topic, label), TypeCounts())
        together.queued += each.queued
        together.held += each.held
        together.oldest_queued_since = _first(
            (together.oldest_queued_since, each.oldest_queued_since)
        )
    return found


def _first(times: Iterable[datetime | None]) -> datetime | None:
    return min((each for each in times if each is not None), default=None)


def _ended(book: JobBook) -> Metric:
    ended = CounterMetricFamily(
        f"{PREFIX}_jobs_ended",
        "Jobs that have ended, since the first of those that the board has read.",
        labels=("topic", "job_type", "state"),
    )
    for (topic, job_type, state), number in book.ended_counts().items():
        ended.add_metric((topic, job_type, state), number)
    return ended


def _workers(book: JobBook, now: datetime) -> Metric:
    found = GaugeMetricFamily(
        f"{PREFIX}_workers",
        "Workers that have jobs of a topic: alive, or silent for several heartbeat intervals.",
        labels=("topic", "state"),
    )
    states = (WorkerState.ALIVE, WorkerState.SILENT)
    topics = {topic for topic, _, _ in book.ended_counts()}
    numbers = {(topic, state): 0 for topic in sorted(topics) for state in states}
    for worker in workers(book.live_jobs(), book.worker_times(), now):
        for topic in worker.topics:
            key = topic, worker.state
            numbers[key] = numbers.get(key, 0) + 1
    for key, number in numbers.items():
        found.add_metric(key, number)
    return found
