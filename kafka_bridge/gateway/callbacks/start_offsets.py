"""From where in the topic jobs of earlier deliveries listen: asked for many jobs at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from tenacity import retry, retry_if_exception_type, wait_fixed

from kafka_bridge.kafka.lookups.job_events import CLOCK_SKEW
from kafka_bridge.protocol.errors import BrokerUnreachable
from kafka_bridge.protocol.messages import utc_now

PAUSE_SECONDS = 1.0


class StartOffsets:
    """Finds by time where in a topic to begin.

    Where a gateway has died, another one gets all its jobs at once. Those that ask while a question
    is on its way share the next one, which is for the oldest of them: the reader goes back for that
    one in any case.

    :param ask: returns by partition the first offset since a moment; blocks
    """

    def __init__(self, ask: Callable[[datetime], Sequence[int]]) -> None:
        self._ask = ask
        self._asking = asyncio.Lock()
        self._next: asyncio.Task[Sequence[int]] | None = None
        self._oldest = utc_now()

    async def since(self, moment: datetime) -> Sequence[int]:
        """Return by partition an offset that no record since a moment lies before.

        Where no broker answers it asks again, for as long as it takes.

        :raises TopicNotFound: the topic does not exist
        :raises AccessDenied: it may not be read
        """
        if self._next is None:
            self._oldest = moment
            self._next = asyncio.create_task(self._find())
        self._oldest = min(self._oldest, moment)
        # Others wait for the same answer: one that is cancelled leaves it to them.
        return await asyncio.shield(self._next)

    async def _find(self) -> Sequence[int]:
        async with self._asking:
            oldest, self._next = self._oldest, None
            return await self._answer(oldest - CLOCK_SKEW)

    @retry(retry=retry_if_exception_type(BrokerUnreachable), wait=wait_fixed(PAUSE_SECONDS))
    async def _answer(self, moment: datetime) -> Sequence[int]:
        return await asyncio.to_thread(self._ask, moment)
