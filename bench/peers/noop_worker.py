"""Our worker with a handler that does nothing. Topics and group come from the environment."""

from __future__ import annotations

import os
import time

from kafka_bridge.worker import JobContext, Worker

worker = Worker.from_env()
BLOCK = os.environ.get("BENCH_BLOCK", "").split(",")


@worker.job("noop")
def noop(job: JobContext, payload: int) -> int:
    """Do nothing. Only the jobs that BENCH_BLOCK names block."""
    if job.correlation_id in BLOCK:
        time.sleep(3600)
    return payload


if __name__ == "__main__":
    worker.concurrency = int(os.environ.get("KAFKA_BRIDGE_CONCURRENCY", "1"))
    worker.run(configure_logging=False)
