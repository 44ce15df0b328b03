"""One thread that keeps the promise of every job at hand: an event in each heartbeat interval."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from kafka_bridge.worker.reporter import JobReporter

_log = logging.getLogger(__name__)

TICK_SECONDS = 0.05
"""Short against every sensible heartbeat interval: a heartbeat may be late by one tick."""


class Heartbeats:
    """Ticks the reporters of all jobs that the worker has accepted."""

    def __init__(self) -> None:
        self._by_id: dict[int, JobReporter] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="kafka-bridge-heartbeats", daemon=True
        )
        self._thread.start()

    @contextlib.contextmanager
    def of(self, reporter: JobReporter) -> Iterator[None]:
        """Keep a job's heartbeats going inside the block."""
        self._by_id[id(reporter)] = reporter
        try:
            yield
        finally:
            del self._by_id[id(reporter)]

    def _run(self) -> None:
        while not self._stopping.wait(TICK_SECONDS):
            for reporter in list(self._by_id.values()):
                try:
                    reporter.tick()
                except Exception:
                    _log.exception("No heartbeat for job %s", reporter.request.correlation_id)

    def close(self) -> None:
        """Stop."""
        self._stopping.set()
        self._thread.join()
