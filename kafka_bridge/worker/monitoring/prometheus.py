"""A worker's metrics for Prometheus. Needs the extra ``metrics``.

Names follow Prometheus' conventions: a prefix, the unit, ``_total`` on counters. Label values are
few: job types without a handler, which any sender can invent, share one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.worker.monitoring.observer import Observer, Waiting, WorkerStatus

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

try:
    from prometheus_client import (
        CollectorRegistry,
        Counter,
        GCCollector,
        Histogram,
        PlatformCollector,
        ProcessCollector,
        Summary,
        make_wsgi_app,
    )
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise ConfigurationError(
        "metrics and health on a port need prometheus_client, which is not installed: "
        'pip install "airflow-kafka-bridge[metrics]"'
    ) from error

PREFIX = "kafka_bridge_worker"
UNKNOWN_JOB_TYPE = "(unknown)"
SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 300, 1_800, 7_200, 21_600, 86_400)
"""Buckets from a job that does nothing to one that takes a day."""
JOBS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024)
"""Buckets from a batch of one job to one that few cards have memory for."""


class PrometheusObserver(Observer):
    """Counts what happens in a worker, in a registry of its own.

    :param job_types: the job types that the worker has handlers for
    """

    def __init__(self, job_types: Collection[str]) -> None:
        self.registry = _registry()
        self._job_types = frozenset(job_types)
        self._accepted = self._counter("jobs_accepted", "Jobs accepted", "job_type")
        self._redelivered = self._counter(
            "jobs_redelivered", "Jobs accepted that a worker had accepted before", "job_type"
        )
        self._queued = self._histogram(
            "job_queued_seconds",
            "From the creation of a request until its acceptance",
            "job_type",
        )
        self._duration = self._histogram(
            "job_duration_seconds",
            "From the start of a job until its terminal event, or its release, was acknowledged",
            *("job_type", "state"),
        )
        self._abandoned = self._counter(
            "jobs_abandoned", "Jobs left without an event: their partition was lost", "job_type"
        )
        self._retried = self._counter(
            "job_retries", "Handlers that failed and were retried in the worker", "job_type"
        )
        self._time_limits = self._counter(
            "job_time_limits_exceeded", "Jobs that have run for their time limit", "job_type"
        )
        self._batches = Histogram(
            f"{PREFIX}_batch_jobs",
            "Jobs in one call of a batch handler.",
            ["job_type"],
            buckets=JOBS,
            registry=self.registry,
        )
        self._skipped = self._counter(
            "requests_skipped", "Requests skipped because their job was finished"
        )
        self._unreadable = self._counter(
            "unreadable_offsets", "Offsets skipped because their batch cannot be unpacked"
        )
        self._dead_letters = self._counter(
            "dead_letters", "Requests written to the dead-letter topic", "error_type"
        )
        self._ledger_records = self._counter(
            "ledger_records", "Records read from the response topic to know which jobs are finished"
        )
        self._ledger_seconds = Summary(
            f"{PREFIX}_ledger_read_seconds",
            "Time to read the response topic, once for each assignment of partitions",
            registry=self.registry,
        )
        self._start_at_zero()

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", f"{what}.", labels, registry=self.registry)

    def _histogram(self, name: str, what: str, *labels: str) -> Histogram:
        return Histogram(
            f"{PREFIX}_{name}", f"{what}.", labels, buckets=SECONDS, registry=self.registry
        )

    def _start_at_zero(self) -> None:
        """Export every series from the start: a rate cannot show one that begins at 1."""
        for job_type in self._job_types:
            for metric in (
                *(self._accepted, self._redelivered, self._abandoned),
                *(self._retried, self._time_limits),
            ):
                metric.labels(job_type)
            self._queued.labels(job_type)
            for state in (*TERMINAL, JobState.RELEASED):
                self._duration.labels(job_type, state.value)

    def _label(self, job_type: str) -> str:
        return job_type if job_type in self._job_types else UNKNOWN_JOB_TYPE

    def application(self) -> WSGIApplication:
        """Return the WSGI application that serves the metrics."""
        application: WSGIApplication = make_wsgi_app(self.registry)
        return application

    @contextlib.contextmanager
    def exporting(self, status: Callable[[], WorkerStatus]) -> Iterator[None]:
        """Export the status of a worker, too, inside the block."""
        gauges = _StatusCollector(status, self._job_types)
        self.registry.register(gauges)
        try:
            yield
        finally:
            self.registry.unregister(gauges)

    def accepted(self, job_type: str, *, delivery: int, queued_seconds: float) -> None:
        """Note that a job was accepted, and how long after the request was created."""
        label = self._label(job_type)
        self._accepted.labels(label).inc()
        self._queued.labels(label).observe(max(0.0, queued_seconds))  # clocks may differ
        if delivery > 1:
            self._redelivered.labels(label).inc()

    def ended(self, job_type: str, state: JobState, seconds: float) -> None:
        """Note that a job is finished or released, and how long after the start."""
        self._duration.labels(self._label(job_type), state.value).observe(seconds)

    def abandoned(self, job_type: str) -> None:
        """Note that a job was abandoned without an event."""
        self._abandoned.labels(self._label(job_type)).inc()

    def retried(self, job_type: str) -> None:
        """Note that a handler is retried."""
        self._retried.labels(self._label(job_type)).inc()

    def time_limit_exceeded(self, job_type: str) -> None:
        """Note that a handler has run for its time limit."""
        self._time_limits.labels(self._label(job_type)).inc()

    def batch_began(self, job_type: str, jobs: int) -> None:
        """Note that a batch handler is called."""
        self._batches.labels(self._label(job_type)).observe(jobs)

    def skipped(self) -> None:
        """Note that a request was skipped."""
        self._skipped.inc()

    def unreadable(self, offsets: int) -> None:
        """Note that offsets were skipped because their batch cannot be unpacked."""
        self._unreadable.inc(offsets)

    def dead_letter(self, error_type: str) -> None:
        """Note that a request is written to the dead-letter topic."""
        self._dead_letters.labels(error_type).inc()

    def ledger_read(self, *, records: int, seconds: float) -> None:
        """Note that the response topic was read."""
        self._ledger_records.inc(records)
        self._ledger_seconds.observe(seconds)


def _registry() -> CollectorRegistry:
    """Return a registry with the metrics of the process."""
    registry = CollectorRegistry()
    for kind in (ProcessCollector, PlatformCollector, GCCollector):
        kind(registry=registry)
    return registry


class _StatusCollector(Collector):
    """The gauges of a worker's status, read when Prometheus reads them."""

    def __init__(self, status: Callable[[], WorkerStatus], job_types: Collection[str]) -> None:
        self._status = status
        self._job_types = job_types

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now = self._status()
        yield from self._waiting(now.waiting)
        for name, what, value in (
            ("jobs_running", "Jobs whose handlers run.", now.running),
            ("slots", "Jobs that may run at the same time; a batch is one.", now.slots),
            ("slots_free", "Of these slots, those that no job has.", now.slots_free),
            ("partitions", "Partitions that the worker has.", now.partitions),
            ("ready", "1 when the worker accepts jobs, else 0.", now.ready),
            (
                "last_poll_age_seconds",
                "Time since the consumer last polled.",
                now.seconds_since_poll,
            ),
        ):
            yield GaugeMetricFamily(f"{PREFIX}_{name}", what, value=value)

    def _waiting(self, waiting: Mapping[str, Waiting]) -> Iterator[GaugeMetricFamily]:
        number = GaugeMetricFamily(
            f"{PREFIX}_requests_waiting",
            "Requests in the process that have not started.",
            labels=("job_type",),
        )
        age = GaugeMetricFamily(
            f"{PREFIX}_oldest_waiting_seconds",
            "Of these requests, the age of the oldest one.",
            labels=("job_type",),
        )
        unknown = [each for name, each in waiting.items() if name not in self._job_types]
        by_label = {
            **{name: waiting.get(name, Waiting(0, 0.0)) for name in sorted(self._job_types)},
            UNKNOWN_JOB_TYPE: Waiting(
                sum(each.requests for each in unknown),
                max((each.oldest_seconds for each in unknown), default=0.0),
            ),
        }
        for label, each in by_label.items():
            number.add_metric((label,), each.requests)
            age.add_metric((label,), each.oldest_seconds)
        yield from (number, age)
