"""Cancels the job of a deferred task that a person has ended or cleared."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from kafka_bridge.airflow.compat import in_thread
from kafka_bridge.airflow.hooks import kafka_config
from kafka_bridge.airflow.specs import WaitSpec
from kafka_bridge.airflow.task_log import TaskLog
from kafka_bridge.airflow.task_state import is_in_state
from kafka_bridge.kafka.commands import send_cancel
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.errors import KafkaBridgeError

DELIVERY_SECONDS = 20.0
"""Less than the 30 s that Airflow allows (``[triggerer] on_kill_timeout``)."""
REASON = "the task was marked, cleared or removed"


_running: set[asyncio.Task[None]] = set()
"""The event loop itself keeps only weak references."""


async def cancel_unless_deferred(spec: WaitSpec, ti: Any, log: TaskLog) -> None:
    """Cancel a trigger's job, unless its task is still deferred.

    :raises KafkaBridgeError: publishing CANCEL failed; Airflow logs the error
    """
    await unless_deferred(ti, log, f"Job {spec.correlation_id}", lambda: _cancel(spec, log))


async def unless_deferred(
    ti: Any, log: TaskLog, what: str, cancel: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Cancel what a trigger waits for, unless its task is still deferred.

    Airflow 3.3.2 cancels ``on_kill`` itself after about a second. The work that began here goes on
    in the background until it is done.

    :param what: the name of the job or batch in the log
    :param cancel: cancels it
    """
    task = asyncio.create_task(_unless_deferred(ti, log, what, cancel))
    _running.add(task)
    task.add_done_callback(_running.discard)
    await asyncio.shield(task)


async def _unless_deferred(
    ti: Any, log: TaskLog, what: str, cancel: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    # On a thread: the request to Airflow's API blocks.
    if await in_thread(is_in_state, ti, "deferred"):
        log.info("%s goes on: its task is still deferred, so another triggerer waits for it", what)
    else:
        await cancel()


async def _cancel(spec: WaitSpec, log: TaskLog) -> None:
    async with _producer(spec.kafka_config_id, spec.control_topic) as producer:
        sent = send_cancel(
            producer,
            spec.control_topic,
            spec.correlation_id,
            REASON,
            spec.encoding,
        )
        place = await asyncio.wrap_future(sent)
    log.info("Job %s: CANCEL published (%s): %s", spec.correlation_id, place, REASON)


class _Shared:
    """One producer for all the jobs that are cancelled at the same time."""

    def __init__(self, kafka_config_id: str, topic: str) -> None:
        self.users = 0
        self._opened = asyncio.create_task(in_thread(_open, kafka_config_id, topic))

    async def producer(self) -> RecordProducer:
        return await asyncio.shield(self._opened)

    async def close(self) -> None:
        with contextlib.suppress(KafkaBridgeError):  # its users got the error
            producer = await self._opened
            await asyncio.to_thread(producer.close)


def _open(kafka_config_id: str, topic: str) -> RecordProducer:
    producer = RecordProducer(kafka_config(kafka_config_id), DELIVERY_SECONDS)
    try:
        producer.connect(topic)
    except KafkaBridgeError:
        producer.close()
        raise
    return producer


_shared: dict[tuple[asyncio.AbstractEventLoop, str], _Shared] = {}


@contextlib.asynccontextmanager
async def _producer(kafka_config_id: str, topic: str) -> AsyncIterator[RecordProducer]:
    """Share one producer among all cancels of a connection that run at the same time.

    A cleared DAG run may have thousands of jobs.

    :param topic: the topic of the first command
    """
    key = (asyncio.get_running_loop(), kafka_config_id)
    if key not in _shared:
        _shared[key] = _Shared(kafka_config_id, topic)
    shared = _shared[key]
    shared.users += 1
    try:
        yield await shared.producer()
    finally:
        shared.users -= 1
        if not shared.users:
            del _shared[key]
            await shared.close()
