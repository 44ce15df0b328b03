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
            f"the job was not to be started after {request.expires_at.isoformat()}, and only now "
            "is there a worker free for it: run more workers, or let it wait longer",
            retryable=True,
        )
    if request.deadline is not None and now > request.deadline:
        return failure(
            ErrorType.DEADLINE_EXCEEDED,
            f"its deadline, {request.deadline.isoformat()}, had passed before the job was started",
            retryable=True,
        )
    return None
