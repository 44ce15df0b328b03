"""One response reader for all the triggers of a process that wait on the same topic."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import TypeAlias

from kafka_bridge.airflow.connections import kafka_config
from kafka_bridge.kafka.reader import Delivery, Notice, ResponseReader, Subscription
from kafka_bridge.protocol.errors import ReaderClosed

_Key: TypeAlias = tuple[asyncio.AbstractEventLoop, str, str]

_readers: dict[_Key, ResponseReader] = {}
_opening: defaultdict[_Key, asyncio.Lock] = defaultdict(asyncio.Lock)


@contextlib.asynccontextmanager
async def notices_of(
    correlation_id: str, kafka_config_id: str, topic: str, start_offsets: Sequence[int]
) -> AsyncIterator[asyncio.Queue[Notice]]:
    """Inside the block, the queue fills with what the topic says of a job.

    :param start_offsets: by partition, the first offset that can concern the job
    :raises ConfigurationError: the connection cannot be used
    """
    notices: asyncio.Queue[Notice] = asyncio.Queue()
    key = (asyncio.get_running_loop(), kafka_config_id, topic)
    reader, subscription = await _subscribe(key, correlation_id, start_offsets, notices)
    try:
        yield notices
    finally:
        reader.unsubscribe(subscription)


async def _subscribe(
    key: _Key, correlation_id: str, start_offsets: Sequence[int], notices: asyncio.Queue[Notice]
) -> tuple[ResponseReader, Subscription]:
    while True:
        async with _opening[key]:
            reader = _readers.get(key) or await _open(key)
        try:
            return reader, reader.subscribe(correlation_id, start_offsets, notices.put_nowait)
        except ReaderClosed:
            if _readers.get(key) is reader:
                del _readers[key]


async def _open(key: _Key) -> ResponseReader:
    loop, kafka_config_id, topic = key

    def hand_over(delivery: Delivery) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_notify, delivery)

    # The connection is looked up once for each reader, on a thread: the provider's hook blocks.
    config = await asyncio.to_thread(kafka_config, kafka_config_id)
    _readers[key] = ResponseReader(config, topic, hand_over)
    return _readers[key]


def _notify(delivery: Delivery) -> None:
    for subscription, notice in delivery:
        subscription.notify(notice)
