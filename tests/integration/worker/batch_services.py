"""A worker with a batch handler: ``kafka-bridge worker run batch_services:worker``."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from kafka_bridge.worker import ApplicationError, JobContext, Worker

worker = Worker.from_env()
NOTES = Path(os.environ.get("NOTES", os.devnull))
GATE = Path(os.environ.get("GATE", os.devnull))


@worker.job("texts.embed", batch=4, linger=60)
def embed(jobs: list[JobContext], payloads: list[str]) -> list[Any]:
    """Wait until the gate is open or all have to stop; one kind of text cannot be embedded."""
    with NOTES.open("a") as file:
        file.writelines(f"started {job.correlation_id} {os.getpid()}\n" for job in jobs)
    while not GATE.exists() and not all(job.stop_requested for job in jobs):
        time.sleep(0.02)
    faulty = ApplicationError("cannot be embedded", type="faulty_text", retryable=False)
    return [faulty if text == "faulty" else len(text) for text in payloads]
