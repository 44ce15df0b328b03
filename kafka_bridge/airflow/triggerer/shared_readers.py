"""The response readers that the triggers of a process share: one for each connection and topic."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TypeAlias

from kafka_bridge.airflow.compat import in_thread
from kafka_bridge.airflow.hooks import kafka_config
from kafka_bridge.airflow.triggerer.hub import ResponseHub
from kafka_bridge.airflow.triggerer.reader_metrics import ReaderMetrics
from kafka_bridge.airflow.triggerer.waiter import Waiter
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import ReaderClosed

_Key: TypeAlias = tuple[asyncio.AbstractEventLoop, str, str, int]
"""Loop, connection, topic, and 0; more than 0 where several triggers wait for the same job."""

_hubs: dict[_Key, ResponseHub] = {}
_opening: defaultdict[_Key, asyncio.Lock] = defaultdict(asyncio.Lock)


async def join_hub(waiter: Waiter, kafka_config_id: str, topic: str) -> Waiter:
    """Let a waiter wait on the process's reader of that connection and topic; return the waiter.

    The wait ends with the ``with`` block of the waiter.

    A reader notifies one waiter of each job. A second waiter for the same job, for example of
    another sensor with the same handle, waits on a reader of its own.

    :raises ConfigurationError: the connection cannot be used
    """
    loop, copy = asyncio.get_running_loop(), 0
    while True:
        key = (loop, kafka_config_id, topic, copy)
        hub = _hubs.get(key) or await _open(key)
        if hub.waits_for_any(waiter.keys):
            copy += 1
            continue
        try:
            return waiter.join(hub)
        except ReaderClosed:
            if _hubs.get(key) is hub:
                del _hubs[key]


def open_for_task(config: KafkaConfig, kafka_config_id: str, topic: str) -> None:
    """Open the reader of a task's process, which reports no metrics: it serves one task only.

    Call this on the event loop on which the task is going to wait.
    """
    key = (asyncio.get_running_loop(), kafka_config_id, topic, 0)
    _hubs[key] = ResponseHub(config, topic)


async def _open(key: _Key) -> ResponseHub:
    async with _opening[key]:
        if key not in _hubs:
            _, kafka_config_id, topic, _ = key
            # Looked up once for each reader, and on a thread: both block.
            config, metrics = await in_thread(_prepare, kafka_config_id, topic)
            _hubs[key] = ResponseHub(config, topic, metrics)
        return _hubs[key]


def _prepare(kafka_config_id: str, topic: str) -> tuple[KafkaConfig, ReaderMetrics]:
    return kafka_config(kafka_config_id), ReaderMetrics(topic)
