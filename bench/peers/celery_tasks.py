"""The same work as a Celery task. Broker and results are in Redis."""

from __future__ import annotations

import os

from celery import Celery

from bench.peers.cpu_work import burn

app = Celery("bench", broker=os.environ["BENCH_REDIS"], backend=os.environ["BENCH_REDIS"])
app.conf.worker_prefetch_multiplier = 1


@app.task(name="work")  # type: ignore[untyped-decorator]
def work() -> float:
    """Keep a processor busy."""
    return burn()
