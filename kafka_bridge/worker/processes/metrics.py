"""Metrics of a worker's child processes, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka_bridge.worker.processes.pool import Pool, Why

PREFIX = "kafka_bridge_worker"


class PoolMetrics:
    """Exports how many processes there are, and how many have ended, by reason."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterable[Any]:
        """Return metric families of prometheus_client."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415

        yield GaugeMetricFamily(
            f"{PREFIX}_processes", "Child processes for handlers.", value=self._pool.size
        )
        ends = CounterMetricFamily(
            f"{PREFIX}_process_ends", "Child processes that have ended.", labels=["reason"]
        )
        for why in Why:
            ends.add_metric([why.value], self._pool.ends[why])
        yield ends
