"""A worker with a long queue: one job type waits for a gate, the other takes half a second."""

from __future__ import annotations

import os
import time
from pathlib import Path

from kafka_bridge.worker import JobContext, Worker

SECONDS = 0.5
worker = Worker(group_id="turns", concurrency=6, grace=1)


@worker.job("turns.gated")
def gated(job: JobContext, payload: int) -> int:
    """Wait until the gate is open, then work like the other jobs."""
    gate = Path(os.environ["TURNS_GATE"])
    while not gate.exists():
        job.sleep(0.1)
    time.sleep(SECONDS)
    return payload


@worker.job("turns.short")
def short(_: JobContext) -> None:
    """Work for half a second."""
    time.sleep(SECONDS)
