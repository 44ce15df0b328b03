"""A worker whose jobs wait to be stopped, or fail at first: for retries, clears and cancels."""

from __future__ import annotations

import time
from pathlib import Path

from kafka_bridge.worker import ApplicationError, JobContext, Worker

worker = Worker(group_id="patient", request_topic="patient.requests", concurrency=32, grace=1)

LONGEST = 3600.0
"""Seconds: longer than all tests take, so that no job ends before its test looks at it."""


@worker.job("patient.first_waits")
def first_waits(job: JobContext) -> int:
    """Wait to be stopped, at the first attempt; the next ones are done at once."""
    if job.attempt == 1:
        job.sleep(LONGEST)
    return job.attempt


@worker.job("patient.waits")
def waits(job: JobContext) -> None:
    """Wait to be stopped."""
    job.sleep(LONGEST)


@worker.job("patient.works")
def works(job: JobContext, payload: float) -> int:
    """Work for so many seconds."""
    job.sleep(payload)
    return job.attempt


@worker.job("patient.works_until")
def works_until(job: JobContext, payload: str) -> int:
    """Work until a file exists."""
    end = time.monotonic() + LONGEST
    while not Path(payload).exists() and time.monotonic() < end:
        job.sleep(0.2)
    return job.attempt


@worker.job("patient.attempt")
def attempt(job: JobContext) -> int:
    """Return which attempt this is."""
    return job.attempt


@worker.job("patient.numbers")
def numbers(job: JobContext, payload: int) -> int:
    """Return the number that was asked for."""
    return payload


@worker.job("patient.first_fails")
def first_fails(job: JobContext) -> int:
    """Fail at the first attempt."""
    if job.attempt == 1:
        raise ApplicationError("the disk is full", type="disk_full", retryable=True)
    return job.attempt


@worker.job("patient.waits_at_last")
def waits_at_last(job: JobContext) -> None:
    """Fail at the first attempt, and wait to be stopped at the next one."""
    if job.attempt == 1:
        raise ApplicationError("the disk is full", type="disk_full", retryable=True)
    job.sleep(LONGEST)
