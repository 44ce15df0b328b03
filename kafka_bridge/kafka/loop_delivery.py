"""From a reader's thread to an event loop: notices cross over in batches, a moment at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from kafka_bridge.kafka.notices import Delivery, Notice, Subscription

SLICE_SECONDS = 0.005
"""How long one callback of the loop passes notices on: others use the loop, too."""


class LoopDelivery:
    """Calls every subscription's ``notify`` on the loop that runs where this is made, in order.

    Not made for a loop that runs on the reader's own thread.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrived: deque[tuple[Subscription, Notice]] = deque()
        self._is_notifying = False

    def hand_over(self, delivery: Delivery) -> None:
        """Bring a batch to the loop; called on the reader's thread."""
        self._arrived.extend(delivery)
        if not self._is_notifying:
            self._is_notifying = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._notify)

    def _notify(self) -> None:
        """Tell the waiting jobs, for a moment; the rest is told in the loop's next round."""
        until = self._loop.time() + SLICE_SECONDS
        while self._arrived and self._loop.time() < until:
            subscription, notice = self._arrived.popleft()
            subscription.notify(notice)
        # In this order: what arrives after the next line wakes the loop by itself.
        self._is_notifying = False
        if self._arrived:
            self._is_notifying = True
            self._loop.call_soon(self._notify)
