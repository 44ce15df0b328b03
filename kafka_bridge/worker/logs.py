"""The fields of a log line that name its job.

They are structlog's context variables. Its processor ``merge_contextvars`` adds them to every line,
also to those of the standard library's ``logging``: ``kafka-bridge worker run`` uses it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from structlog.contextvars import bind_contextvars, reset_contextvars

from kafka_bridge.protocol.messages import JobRequest


def job_fields(request: JobRequest) -> dict[str, str]:
    """Return the two fields that name a job.

    For lines that are logged outside of a handler: ``log.info(…, extra=job_fields(request))``.
    """
    return {"correlation_id": request.correlation_id, "job_type": request.job_type}


@contextlib.contextmanager
def job_logging(request: JobRequest) -> Iterator[None]:
    """Add a job's fields to all log lines of this thread or asyncio task inside the block.

    Tasks and ``asyncio.to_thread`` calls that start inside inherit them, and so does
    ``run_coroutine_threadsafe`` on another thread's loop. A ``threading.Thread`` does not.
    """
    # Not bound_contextvars: it reads all variables of the context first, which costs 6 µs a job.
    before = bind_contextvars(**job_fields(request))
    try:
        yield
    finally:
        reset_contextvars(**before)


@contextlib.contextmanager
def batch_logging(job_type: str, jobs: int) -> Iterator[None]:
    """Do the same for a call that gets a batch: the job type, and how many jobs it got."""
    before = bind_contextvars(job_type=job_type, batch=jobs)
    try:
        yield
    finally:
        reset_contextvars(**before)
