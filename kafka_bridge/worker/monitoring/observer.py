"""What a worker tells those who watch it: counts as things happen, and a status when asked.

Knows nothing of who watches: metrics and health are an :class:`Observer` and a reader of
:class:`WorkerStatus`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from kafka_bridge.protocol.messages import JobState
from kafka_bridge.worker.monitoring.job_log import JobLog


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker at one moment.

    ``running``: jobs whose handlers run. ``waiting``: requests in the process that have not
    started. ``partitions``: how many it has. ``ready``: it has joined its group, and knows of every
    partition that it was given what is finished and cancelled. ``seconds_since_poll``: how long ago
    its consumer last polled, far below a second in a healthy worker whatever its handlers do.
    """

    running: int
    waiting: int
    partitions: int
    ready: bool
    seconds_since_poll: float


class MetricSource(Protocol):
    """Something else that is measured in the process, shown among the worker's metrics."""

    def collect(self) -> Iterable[Any]:
        """Return families of prometheus_client, as they are now. Any thread may ask."""


class Observer:
    """Is told what happens, on any thread, and must return at once. This one ignores it.

    :ivar job_log: writes a line at the start and at the end of each job
    """

    job_log = JobLog()

    def accepted(self, job_type: str, *, delivery: int, queued_seconds: float) -> None:
        """Note that a job was taken: so long after its request was made."""

    def ended(self, job_type: str, state: JobState, seconds: float) -> None:
        """Note that a terminal event, or RELEASED, is acknowledged, so long after the job began."""

    def given_up(self, job_type: str) -> None:
        """Note that a job was abandoned in silence: its partition was lost to another worker."""

    def retried(self, job_type: str) -> None:
        """Note that a handler failed and is tried again in this worker."""

    def skipped(self) -> None:
        """Note that a request was passed over because its job is finished."""

    def unreadable(self, offsets: int) -> None:
        """Note that offsets of any topic were skipped because their batch cannot be unpacked."""

    def dead_letter(self, error_type: str) -> None:
        """Note that a request went to the dead letters."""

    def ledger_read(self, *, records: int, seconds: float) -> None:
        """Note that the response topic was read to learn what is finished."""
