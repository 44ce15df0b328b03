"""What a worker reports to its monitoring: what happens, as it happens, and a status on request.

It does not depend on the kind of monitoring: metrics are an :class:`Observer`, and health is
computed from a :class:`WorkerStatus`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from kafka_bridge.protocol.messages import JobState
from kafka_bridge.worker.monitoring.job_log import JobLog


@dataclass(frozen=True, slots=True)
class Waiting:
    """The requests of one job type that are in the process and have not started.

    :param oldest_seconds: how long ago the oldest one was created
    """

    requests: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker at one moment; without arguments, one that has not started.

    :param running: jobs whose handlers run
    :param waiting: by job type, the requests in the process that have not started
    :param slots: how many jobs may run at the same time; a batch counts as one
    :param slots_free: how many of these slots no job has
    :param partitions: how many partitions of the request topic it has
    :param ready: whether it has joined its group and has read, for each of its partitions, which
        jobs are finished or cancelled
    :param seconds_since_poll: how long ago its consumer last polled; far below a second in a
        healthy worker, whatever its handlers do
    """

    running: int = 0
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    slots: int = 0
    slots_free: int = 0
    partitions: int = 0
    ready: bool = False
    seconds_since_poll: float = 0.0


class MetricSource(Protocol):
    """Another source of metrics in the process, served together with the worker's own."""

    def collect(self) -> Iterable[Any]:
        """Return metric families of prometheus_client. Called on any thread."""


class Observer:
    """Receives what happens, on any thread; its methods return at once. This one ignores it.

    :ivar job_log: logs the start and the end of each job
    """

    job_log = JobLog()

    def accepted(self, job_type: str, *, delivery: int, queued_seconds: float) -> None:
        """Note that a job was accepted, and how long after the request was created."""

    def ended(self, job_type: str, state: JobState, seconds: float) -> None:
        """Note that a terminal event is acknowledged, and how long after the start.

        The same for RELEASED, if the handler was called.
        """

    def abandoned(self, job_type: str) -> None:
        """Note that a job was abandoned without an event: another worker has its partition."""

    def retried(self, job_type: str) -> None:
        """Note that a handler failed and this worker retries it."""

    def time_limit_exceeded(self, job_type: str) -> None:
        """Note that a handler has run for its time limit, and is asked to stop."""

    def batch_began(self, job_type: str, jobs: int) -> None:
        """Note that a batch handler is called, and for how many jobs."""

    def skipped(self) -> None:
        """Note that a request was skipped because its job is finished."""

    def unreadable(self, offsets: int) -> None:
        """Note that offsets of a topic were skipped because their batch cannot be unpacked."""

    def dead_letter(self, error_type: str) -> None:
        """Note that a request is written to the dead-letter topic."""

    def ledger_read(self, *, records: int, seconds: float) -> None:
        """Note that the response topic was read to know which jobs are finished."""
