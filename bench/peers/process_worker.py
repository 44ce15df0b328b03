"""Our worker with a handler in child processes that keeps a processor busy, or does nothing.

Topics, group and the number of processes come from the environment.
"""

from __future__ import annotations

from bench.peers.cpu_work import burn
from kafka_bridge.worker import JobContext, Worker

worker = Worker.from_env()


@worker.job("noop", process=True)
def work(_: JobContext) -> float:
    """Keep a processor busy."""
    return burn()


if __name__ == "__main__":
    worker.run(configure_logging=False)
