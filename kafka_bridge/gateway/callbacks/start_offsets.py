"""Finds the offsets from which jobs of earlier deliveries read callbacks."""

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
    """Finds the start offsets for a time.

    After a crash another gateway gets all jobs of the first one at once. Jobs that ask during a
    request share the next one, which is for the oldest of them: the reader has to go back for that
    job in any case.

    :param ask: returns the first offset since a time for each partition; blocks
    """

    def __init__(self, ask: Callable[[datetime], Sequence[int]]) -> None:
        self._ask = ask
        self._asking = asyncio.Lock()
        self._next: asyncio.Task[Sequence[int]] | None = None
        self._oldest = utc_now()

    async def since(self, moment: datetime) -> Sequence[int]:
        """Return for each partition an offset before all records since a time.

        The request is retried until a broker answers.

        :raises TopicNotFound: the topic does not exist
        :raises AccessDenied: it may not be read
        """
        if self._next is None:
            self._oldest = moment
            self._next = asyncio.create_task(self._find())
        self._oldest = min(self._oldest, moment)
        # Shielded, because other jobs wait for the same answer.
        return await asyncio.shield(self._next)

    async def _find(self) -> Sequence[int]:
        async with self._asking:
            oldest, self._next = self._oldest, None
            return await self._answer(oldest - CLOCK_SKEW)

    @retry(retry=retry_if_exception_type(BrokerUnreachable), wait=wait_fixed(PAUSE_SECONDS))
    async def _answer(self, moment: datetime) -> Sequence[int]:
        return await asyncio.to_thread(self._ask, moment)
