"""How many callbacks came, by what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kafka_bridge.gateway.callbacks.receipts import CallbackOutcome

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily

METRIC = "kafka_bridge_gateway_callbacks"


class CallbackCounts:
    """Counts callbacks on the receiver's thread, and shows them among a worker's metrics."""

    def __init__(self) -> None:
        self._counts: Counter[CallbackOutcome] = Counter()

    def count(self, outcome: CallbackOutcome) -> None:
        """Count a callback."""
        self._counts[outcome] += 1

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Show all outcomes, those that have not come too: rates cannot tell of one that starts."""
        # An extra: loaded only where metrics are asked for.
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(
            METRIC, "Callbacks, by what became of them.", labels=["outcome"]
        )
        for outcome in CallbackOutcome:
            family.add_metric([outcome.value], self._counts[outcome])
        yield family
