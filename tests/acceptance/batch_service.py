"""A worker with many small jobs, for batches."""

from __future__ import annotations

from kafka_bridge.worker import ApplicationError, JobContext, Worker

worker = Worker(group_id="batch", request_topic="batch.requests", concurrency=32, grace=1)

LONGEST = 3600.0
"""Seconds: longer than all tests take, so that no job ends before its test looks at it."""


@worker.job("batch.double")
def double(job: JobContext, payload: int) -> int:
    """Double a number; at the first attempt, one in twenty fails."""
    job.sleep(0.1)
    if payload % 20 == 7 and job.attempt == 1:
        raise ApplicationError(f"{payload} is unlucky", type="unlucky", retryable=True)
    return 2 * payload


@worker.job("batch.waits")
def waits(job: JobContext) -> None:
    """Wait to be stopped."""
    job.sleep(LONGEST)
