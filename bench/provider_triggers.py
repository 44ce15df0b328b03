"""Jobs that wait with the triggers of Airflow's own Kafka provider.

*AwaitMessageTrigger*: each job has its own consumer, in its own group and through its own
connection, and an ``apply_function`` that compares the key. All groups are stable, with committed
offsets, before the first reply is published.

*Shared stream*: one consumer for all the jobs, whose records go to every job's filter. Airflow's
``SharedStreamManager`` is called as the triggerer's ``run_trigger`` does, with the triggerer's own
settings. Once a second, as in the triggerer's loop, all new events are confirmed as stored, as if
the database took no time. Each filter ends with its event: this was faster in measurements than
filters that continue. A filter receives only values, so it searches the bytes for the job's id,
which is faster than decoding them.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import confluent_kafka as ck
from airflow.providers.apache.kafka.triggers.await_message import AwaitMessageTrigger
from airflow.providers.apache.kafka.triggers.shared_stream import KafkaSharedStreamTrigger
from airflow.triggers.base import TriggerEvent
from airflow.triggers.shared_stream import SharedStreamManager

from bench.traffic import job_ids, new_topic
from bench.trigger_rounds import (
    commit_ends,
    first_event,
    forget_groups,
    kafka_connection,
    time_until_all_fired,
    until_stable,
)

SYNC_SECONDS = 1.0
"""How often the triggerer's loop syncs with its supervisor (``TriggerRunner.arun``)."""


async def time_awaiting(servers: str, count: int) -> float:
    jobs = job_ids(count)
    groups = [f"bench-{uuid.uuid4()}" for _ in jobs]
    with new_topic(servers) as topic, contextlib.ExitStack() as stack:
        for group in groups:
            await asyncio.to_thread(commit_ends, servers, topic, group)
        waiting = [
            first_event(
                AwaitMessageTrigger(
                    topics=[topic],
                    apply_function=f"{__name__}.{is_reply_to.__name__}",
                    apply_function_args=[job],
                    kafka_config_id=stack.enter_context(kafka_connection(servers, group)),
                )
            )
            for job, group in zip(jobs, groups, strict=True)
        ]
        try:
            return await time_until_all_fired(
                servers, topic, jobs, waiting, lambda: until_stable(servers, groups)
            )
        finally:
            await asyncio.to_thread(forget_groups, servers, groups)


def is_reply_to(job: str, message: ck.Message) -> dict[str, Any] | None:
    """Return the record's position if it is a reply to the job, as our trigger's event does."""
    if message.key() != job.encode():
        return None
    return {"partition": message.partition(), "offset": message.offset()}


class _ReplyTrigger(KafkaSharedStreamTrigger):
    """Fires for the record that has the job's id in its value."""

    def __init__(self, job: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._job = job.encode()

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Any]
    ) -> AsyncIterator[TriggerEvent]:
        """Fire for the job's own reply."""
        async for value in shared_stream:
            if self._job in value:
                yield TriggerEvent({"state": "SUCCEEDED"})
                return


async def time_sharing(servers: str, count: int) -> float:
    from airflow.configuration import conf

    jobs, fired = job_ids(count), deque[int]()
    group = f"bench-{uuid.uuid4()}"
    manager = SharedStreamManager(  # as the triggerer creates it
        max_subscriber_queue=conf.getint("triggerer", "shared_stream_subscriber_queue_size"),
        ack_timeout=conf.getfloat("triggerer", "shared_stream_ack_timeout"),
        cohort_grace_period=conf.getfloat("triggerer", "shared_stream_cohort_grace_period"),
    )
    with new_topic(servers) as topic, kafka_connection(servers, group) as connection:
        await asyncio.to_thread(commit_ends, servers, topic, group)
        triggers = [_ReplyTrigger(job, topics=[topic], kafka_config_id=connection) for job in jobs]
        waiting = [
            _shared_event(manager, fired, number, trigger)
            for number, trigger in enumerate(triggers)
        ]
        confirming = asyncio.create_task(_confirm(manager, fired))
        try:
            return await time_until_all_fired(
                servers, topic, jobs, waiting, lambda: until_stable(servers, [group])
            )
        finally:
            confirming.cancel()
            await manager.stop_all()
            await asyncio.to_thread(forget_groups, servers, [group])


async def _shared_event(
    manager: SharedStreamManager,
    fired: deque[int],
    number: int,
    trigger: KafkaSharedStreamTrigger,
) -> TriggerEvent:
    """Run a trigger as the triggerer does (``TriggerRunner.run_trigger``), until its event."""
    key = trigger.shared_stream_key()
    stream = manager.subscribe(trigger_id=number, trigger=trigger, key=key)
    got: TriggerEvent | None = None
    try:
        async for event in trigger.filter_shared_stream(stream):
            got = event
            if (sequence := manager.bind_pending_event(trigger_id=number, key=key)) is not None:
                fired.append(sequence)
    finally:
        await manager.unsubscribe(number, key)
        await trigger.cleanup()
    if got is None:
        raise RuntimeError(f"the trigger fired no event: {trigger}")
    return got


async def _confirm(manager: SharedStreamManager, fired: deque[int]) -> None:
    """Confirm to the manager that events are stored, as the triggerer's loop does."""
    while True:
        await asyncio.sleep(SYNC_SECONDS)
        manager.confirm_persisted([fired.popleft() for _ in range(len(fired))])
