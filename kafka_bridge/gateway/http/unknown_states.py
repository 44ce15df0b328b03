"""How often services said how a job is in a word that nobody knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily

METRIC = "kafka_bridge_gateway_unknown_states"


class UnknownWords:
    """Counts such words on the worker's loop, and shows the counts among its metrics."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, job_type: str) -> None:
        """Count a word that is new in its job."""
        self._counts[job_type] += 1

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Show the counts by job type."""
        # An extra: loaded only where metrics are asked for.
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(
            METRIC,
            "Words for the state of a job that are in no list and were taken for running.",
            labels=["job_type"],
        )
        for job_type, number in list(self._counts.items()):
            family.add_metric([job_type], number)
        yield family
