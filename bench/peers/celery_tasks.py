"""The same work as a Celery task. Broker and results are folders: no network, no server.

Celery looks for messages in a folder once a second by default; here 50 times.
"""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery

from bench.peers.cpu_work import burn


def celery_in(folder: Path) -> Celery:
    """Return an application whose broker and results are in a folder."""
    for name in ("queue", "results", "control"):
        (folder / name).mkdir(exist_ok=True)
    app = Celery("bench", broker="filesystem://", backend=(folder / "results").as_uri())
    app.conf.broker_transport_options = {
        "data_folder_in": str(folder / "queue"),
        "data_folder_out": str(folder / "queue"),
        "control_folder": str(folder / "control"),
        "polling_interval": 0.02,
    }
    app.conf.worker_prefetch_multiplier = 1
    return app


app = celery_in(Path(os.environ["BENCH_CELERY_FOLDER"]))


@app.task(name="work")  # type: ignore[untyped-decorator]
def work() -> float:
    """Keep a processor busy."""
    return burn()
