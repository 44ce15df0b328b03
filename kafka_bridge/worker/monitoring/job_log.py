"""The log lines of each job: one when it starts, one when it finishes."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.protocol.messages import JobRequest, JobState
from kafka_bridge.protocol.sanitize import one_line
from kafka_bridge.worker.logs import job_fields

LINES = 2_000
INTERVAL_SECONDS = 10.0
"""Two lines cost more than a job that does nothing. Lines above 200 jobs a second, over ten
seconds, are only counted."""
_log = bounded_logger("kafka_bridge.worker.jobs", lines=LINES, interval=INTERVAL_SECONDS)
_failures = bounded_logger("kafka_bridge.worker.failed_jobs")

REASON_BYTES = 500
"""A line has this much of an error's message or of a reason; the task's log has all of it."""


@dataclass(frozen=True, slots=True)
class JobLog:
    """Writes the lines, on any thread.

    :ivar is_on: whether every job is logged; else only the first failures in a while are
    """

    is_on: bool = False

    def started(self, request: JobRequest, delivery: int) -> None:
        """Log that the handler of a job is called."""
        if self.is_on and _log.isEnabledFor(logging.INFO):
            again = f" again, as delivery {delivery}" if delivery > 1 else ""
            _log.info(
                "Job %s (%s) started%s",
                request.correlation_id,
                request.job_type,
                again,
                extra=job_fields(request),
            )

    def ended(
        self, request: JobRequest, state: JobState, seconds: float, reason: str | None
    ) -> None:
        """Log that the terminal event of a job is acknowledged, or that the job is released.

        :param seconds: since the call of its handler; 0 if the handler was not called
        :param reason: why it failed, was cancelled or was released
        """
        has_failed = state is JobState.FAILED
        log = _log if self.is_on else _failures
        level = logging.WARNING if has_failed else logging.INFO
        if not (self.is_on or has_failed) or not log.isEnabledFor(level):
            return
        log.log(
            level,
            "Job %s (%s) %s after %.3f s%s",
            request.correlation_id,
            request.job_type,
            state,
            seconds,
            f": {one_line(reason, REASON_BYTES)}" if reason else "",
            extra={**job_fields(request), "state": state.value, "seconds": round(seconds, 3)},
        )

    def left(self, request: JobRequest, seconds: float) -> None:
        """Log that a job is left to another worker, without an event."""
        if self.is_on:
            _log.warning(
                "Job %s (%s) is left to another worker after %.3f s: its partition was lost",
                request.correlation_id,
                request.job_type,
                seconds,
                extra=job_fields(request),
            )
