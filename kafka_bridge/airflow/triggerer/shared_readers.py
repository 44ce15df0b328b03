"""What the triggers of a process share: one response reader for each connection and topic."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from kafka_bridge.airflow.hooks import kafka_config
from kafka_bridge.airflow.triggerer.hub import ResponseHub, Waiter
from kafka_bridge.airflow.triggerer.reader_metrics import ReaderMetrics
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.responses.event_readers import HeadReader, event_head
from kafka_bridge.protocol.errors import ReaderClosed

_Key: TypeAlias = tuple[asyncio.AbstractEventLoop, str, str, int]
"""Loop, connection, topic, and 0; more than that where many wait for one and the same job."""

W = TypeVar("W")

_hubs: dict[_Key, ResponseHub] = {}
_opening: defaultdict[_Key, asyncio.Lock] = defaultdict(asyncio.Lock)


async def waiting_for(
    correlation_id: str,
    kafka_config_id: str,
    topic: str,
    start_offsets: Sequence[int],
    *,
    read_head: HeadReader = event_head,
) -> Waiter:
    """Begin to wait for a job on the process's reader of that connection and topic.

    The wait ends with the ``with`` block that the returned waiter is to be used in.

    A reader tells one waiter of each job. Who is the second to wait for the same one, two sensors
    with one handle for example, waits on a reader of its own.

    :param start_offsets: by partition, the first offset that can concern the job
    :param read_head: what to make of its records;
        ``plain_head`` where plain replies are expected
    :raises ConfigurationError: the connection cannot be used
    """

    def wait(hub: ResponseHub) -> Waiter:
        return hub.wait_for(correlation_id, start_offsets, read_head=read_head)

    return await begin_on_hub([correlation_id], kafka_config_id, topic, wait)


async def begin_on_hub(
    correlation_ids: Sequence[str],
    kafka_config_id: str,
    topic: str,
    wait: Callable[[ResponseHub], W],
) -> W:
    """Begin to wait for jobs on a hub of that connection and topic; return what ``wait`` returns.

    :raises ConfigurationError: the connection cannot be used
    """
    loop, copy = asyncio.get_running_loop(), 0
    while True:
        key = (loop, kafka_config_id, topic, copy)
        hub = _hubs.get(key) or await _open(key)
        if any(map(hub.waits_for, correlation_ids)):
            copy += 1
            continue
        try:
            return wait(hub)
        except ReaderClosed:
            if _hubs.get(key) is hub:
                del _hubs[key]


async def _open(key: _Key) -> ResponseHub:
    async with _opening[key]:
        if key not in _hubs:
            _, kafka_config_id, topic, _ = key
            # Looked up once for each reader, and on a thread: both block.
            config, metrics = await asyncio.to_thread(_prepare, kafka_config_id, topic)
            _hubs[key] = ResponseHub(config, topic, metrics)
        return _hubs[key]


def _prepare(kafka_config_id: str, topic: str) -> tuple[KafkaConfig, ReaderMetrics]:
    return kafka_config(kafka_config_id), ReaderMetrics(topic)
