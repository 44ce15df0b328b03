"""The worker that the acceptance tests use."""

from __future__ import annotations

import json
import logging
import os
import time
from typing import Any

from kafka_bridge.worker import ApplicationError, JobContext, Worker

worker = Worker(group_id="acceptance", request_topic="test.requests", concurrency=4)
log = logging.getLogger("services")


@worker.job("test.count", forward_logs="INFO")
def count(job: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """Work for some seconds, a tenth at a time."""
    steps = round(payload["seconds"] * 10)
    for step in range(1, steps + 1):
        time.sleep(0.1)
        job.progress(step, total=steps, unit="steps", message="counting")
    log.info("Counted to %d", steps)
    return {"number": payload.get("number"), "process": os.getpid()}


@worker.job("test.observed")
def observed(job: JobContext, payload: str) -> str:
    """Succeed where it is asked to, or fail."""
    if payload != "succeed":
        raise ApplicationError("as asked", type="asked", retryable=False)
    return payload


@worker.job("test.json")
def any_json(job: JobContext, payload: str) -> Any:
    """Return the value that JSON text describes."""
    return json.loads(payload)
