"""The event loop's side of a response reader: passes its notices on to the waiters of one loop."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable, Sequence

from kafka_bridge.airflow.triggerer.deadlines import Deadlines
from kafka_bridge.airflow.triggerer.reader_metrics import ReaderMetrics
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.responses.asyncio_delivery import AsyncioDelivery
from kafka_bridge.kafka.responses.reader import LINGER_SECONDS, ResponseReader
from kafka_bridge.kafka.responses.subscriptions import Subscription

CHECK_SECONDS = 1.0
"""How often a hub checks whether its reader is live, and reports the reader's metrics."""


class ResponseHub:
    """Passes what a reader reads on to the waiters of one event loop. Lives as long as the reader.

    ``live_since`` is since when the reader is live, seconds since 1970; infinite while it is not.

    :param metrics: reports what the reader does; None: nobody does
    :param linger: seconds that the reader stays open without a waiting job
    """

    def __init__(
        self,
        config: KafkaConfig,
        topic: str,
        metrics: ReaderMetrics | None = None,
        *,
        linger: float = LINGER_SECONDS,
    ) -> None:
        self.live_since = math.inf
        self.deadlines = Deadlines()
        self._keys: set[bytes] = set()
        self._loop = asyncio.get_running_loop()
        self._metrics = metrics
        self.reader = ResponseReader(config, topic, AsyncioDelivery().hand_over, linger=linger)
        self._loop.call_later(CHECK_SECONDS, self._check)

    @property
    def is_live(self) -> bool:
        """Whether the reader reads everything that is published, without a lag."""
        return self.reader.health.is_live

    def waits_for_any(self, keys: Iterable[bytes]) -> bool:
        """Whether a waiter of one of these jobs is here: a reader notifies one waiter of each."""
        return not self._keys.isdisjoint(keys)

    def add(self, subscriptions: Sequence[Subscription]) -> None:
        """Pass on what is read for these jobs.

        :raises ReaderClosed: the reader is closed: open another hub
        """
        self.reader.join(subscriptions)
        self._keys.update(each.key for each in subscriptions)

    def remove(self, subscriptions: Iterable[Subscription]) -> None:
        """Stop passing on what is read for these jobs."""
        for each in subscriptions:
            self._keys.discard(each.key)
            self.reader.unsubscribe(each)

    def close(self) -> None:
        """Close the reader; jobs that still wait are notified. Blocks for a moment."""
        self.reader.close()

    def _check(self) -> None:
        if self.reader.is_open:  # first: timeouts go on even if reporting a metric fails
            self._loop.call_later(CHECK_SECONDS, self._check)
        if not self.is_live:
            self.live_since = math.inf
        elif self.live_since == math.inf:
            self.live_since = time.time()
        if self._metrics is not None:
            self._metrics.report(self.reader)
