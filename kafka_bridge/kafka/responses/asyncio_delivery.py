"""Pass notices from a reader's thread to an asyncio event loop, in batches."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque

from kafka_bridge.kafka.responses.subscriptions import Delivery, Notice, Subscription

SLICE_SECONDS = 0.005
"""How long one callback of the loop passes notices on: others use the loop, too."""
MOST_ARRIVED = 20_000
"""How many notices may wait for the loop before the reader waits for it."""
WAIT_SECONDS = 1.0
"""The longest wait with one batch: closing the reader waits for it on the loop."""
PAUSE_SECONDS = 0.005


class AsyncioDelivery:
    """Calls every subscription's ``notify`` on the loop that runs where this is made, in order.

    Not made for a loop that runs on the reader's own thread.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrived: deque[tuple[Subscription, Notice]] = deque()
        self._is_notifying = False

    def hand_over(self, delivery: Delivery) -> None:
        """Pass a batch to the loop; called on the reader's thread.

        Where the loop does not keep up, the reader is slowed down: what waits here is in memory.
        """
        self._wait_for_room()
        self._arrived.extend(delivery)
        if not self._is_notifying:
            self._is_notifying = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: no job waits any more
                self._loop.call_soon_threadsafe(self._notify)

    def _wait_for_room(self) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while len(self._arrived) > MOST_ARRIVED and time.monotonic() < deadline:
            if self._loop.is_closed():
                self._arrived.clear()
                return
            time.sleep(PAUSE_SECONDS)

    def _notify(self) -> None:
        """Notify waiting jobs for a short time; the rest follows in the loop's next iteration."""
        until = self._loop.time() + SLICE_SECONDS
        try:
            while self._arrived and self._loop.time() < until:
                subscription, notice = self._arrived.popleft()
                subscription.notify(notice)
        finally:  # one that fails, which the loop logs, must not stop the others
            # In this order: what arrives after the next line wakes the loop by itself.
            self._is_notifying = False
            if self._arrived:
                self._is_notifying = True
                self._loop.call_soon(self._notify)
