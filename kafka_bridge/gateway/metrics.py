"""The gateway's own metrics: callbacks by outcome, and unknown words for a job's state."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from kafka_bridge.gateway.callbacks.callback_outcome import CallbackOutcome

with contextlib.suppress(ModuleNotFoundError):  # an extra; without it nothing is collected
    from prometheus_client.core import CounterMetricFamily

CALLBACKS = "kafka_bridge_gateway_callbacks"
UNKNOWN_STATES = "kafka_bridge_gateway_unknown_states"


class CallbackCounter:
    """Counts callbacks by outcome. It is used on the receiver's thread."""

    def __init__(self) -> None:
        self._counts: Counter[CallbackOutcome] = Counter()

    def count(self, outcome: CallbackOutcome) -> None:
        """Count a callback."""
        self._counts[outcome] += 1

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield all outcomes, also those at 0: a rate ignores the first value of a counter."""
        family = CounterMetricFamily(CALLBACKS, "Callbacks by outcome.", labels=["outcome"])
        for outcome in CallbackOutcome:
            family.add_metric([outcome.value], self._counts[outcome])
        yield family


class UnknownStateCounter:
    """Counts unknown words for a job's state by job type. It is used on the worker's event loop."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, job_type: str) -> None:
        """Count a word that is new in its job."""
        self._counts[job_type] += 1

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the counts by job type."""
        family = CounterMetricFamily(
            UNKNOWN_STATES,
            "Unknown words for the state of a job, which count as running.",
            labels=["job_type"],
        )
        for job_type, number in list(self._counts.items()):
            family.add_metric([job_type], number)
        yield family
