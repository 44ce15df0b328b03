"""The worker whose jobs have to end in time, whatever else is in the topics."""

from __future__ import annotations

from typing import Any

from kafka_bridge.worker import JobContext, Worker

worker = Worker(
    group_id="fuzz",
    request_topic="fuzz.requests",
    control_topic="fuzz.control",
    dead_letter_topic="fuzz.dead-letters",
    concurrency=8,
)


@worker.job("fuzz.count")
def count(job: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """Work for some seconds, a tenth at a time."""
    steps = round(payload["seconds"] * 10)
    for step in range(1, steps + 1):
        job.sleep(0.1)
        job.progress(step, total=steps, unit="steps")
    return {"steps": steps}
