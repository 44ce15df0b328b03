"""What happens when a handler has run for its time limit."""

from __future__ import annotations

import logging

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.logs import job_fields

_log: logging.Logger = bounded_logger(__name__)

TIME_LIMIT_EXCEEDED = "time_limit_exceeded"
"""The type of the job's error. A retry may help: what was slow by chance may be quick next time."""


def reason(handler: Handler) -> str:
    """Return why a job of this handler has to stop."""
    return f"its time limit, {handler.time_limit:g} s, has passed"


def warning(request: JobRequest, handler: Handler) -> str:
    """Log that a job has run for its time limit; return the line for its task's log."""
    text = f"The time limit, {handler.time_limit:g} s, has passed: the handler is asked to stop"
    if not handler.in_process and not handler.is_async:
        text += (
            ". It runs on a thread, which cannot be killed: it keeps its slot until it returns. "
            "Use process=True for work that may hang"
        )
    _log.warning(
        "Job %s (%s): %s",
        request.correlation_id,
        request.job_type,
        text,
        extra=job_fields(request),
    )
    return text
