"""Which jobs are too late to be started."""

from __future__ import annotations

from datetime import datetime

from kafka_bridge.protocol.messages import ErrorType, JobFailure, JobRequest
from kafka_bridge.worker.errors import failure


def too_late(request: JobRequest, now: datetime) -> JobFailure | None:
    """Return why a job must not be started any more, None if it may be.

    :param now: with a time zone
    """
    if request.expires_at is not None and now > request.expires_at:
        return failure(
            ErrorType.EXPIRED,
            f"no worker was free before the job expired at {request.expires_at.isoformat()}: run "
            "more workers, or increase schedule_to_start_timeout",
            retryable=True,
        )
    if request.deadline is not None and now > request.deadline:
        return failure(
            ErrorType.DEADLINE_EXCEEDED,
            f"the deadline, {request.deadline.isoformat()}, had passed before the job started",
            retryable=True,
        )
    return None
