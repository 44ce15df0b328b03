"""Jobs that wait with what Airflow's own Kafka provider has, against ours.

*AwaitMessageTrigger*: each job has a consumer of its own, in a group of its own through a
connection of its own, and an ``apply_function`` that looks at the key. All groups are stable, with
committed offsets, before the first reply is sent.

*Shared stream*: one consumer for all the jobs, whose records go to every job's filter. Airflow's
``SharedStreamManager`` is driven as the triggerer's ``run_trigger`` does, with the triggerer's own
settings. That events are in the database is confirmed once a second, as the triggerer's loop does,
but for all that there are, as if the database took no time; and each filter ends with its event,
which measured faster than filters that go on. A filter sees values only, so it looks for the job's
id in the bytes, which costs less than to decode them.

Ours are the same jobs as :class:`KafkaJobTrigger`, on another topic with as many replies to as many
jobs in the same shuffled order. The time is taken from when another process is told to publish
until every trigger has given its event. No triggerer, no database: what is compared is the waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import confluent_kafka as ck
import structlog
from airflow.providers.apache.kafka.triggers.await_message import AwaitMessageTrigger
from airflow.providers.apache.kafka.triggers.shared_stream import KafkaSharedStreamTrigger
from airflow.triggers.base import TriggerEvent
from airflow.triggers.shared_stream import SharedStreamManager
from confluent_kafka.admin import AdminClient

from bench.measure import Result, Round, Scale, Target
from bench.traffic import Publisher, ends_of, job_ids, new_topic, shuffled
from kafka_bridge.airflow.triggers import KafkaJobTrigger

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

AWAITING, AWAITING_SHORT = 10, 4
SHARING = 1000
READY_SECONDS = 60.0
SETTLE_SECONDS = 3.0
"""From the first trigger's start until its reader or consumer hears: measured, well under 1 s."""
ROUND_SECONDS = 240.0
WARNINGS = 4
"""The least important messages that librdkafka is to log, as a syslog level."""
SYNC_SECONDS = 1.0
"""How often the triggerer's loop hears from its supervisor, as ``TriggerRunner.arun`` has it."""


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure both rows."""
    with _quiet():
        return [_awaiting(servers, scale, say), _sharing(servers, scale, say)]


def _awaiting(servers: str, scale: Scale, say: Callable[[str], None]) -> Result:
    count = AWAITING_SHORT if scale.short else AWAITING
    result = Result(
        f"{count} waiting, {count} replies shuffled: time until all have their event",
        "the provider's `AwaitMessageTrigger`",
        "s",
        Target(">=", 1000),
        figure=_times_faster,
    )
    for number in range(1 if scale.short else scale.rounds(2)):
        say(f"AwaitMessageTrigger, {count} waiting, round {number + 1}")
        peer = asyncio.run(_time_awaiting(servers, count))
        result.rounds.append(Round(asyncio.run(_time_ours(servers, count)), peer))
    return result


def _sharing(servers: str, scale: Scale, say: Callable[[str], None]) -> Result:
    result = Result(
        f"{SHARING:,} waiting, {SHARING:,} replies shuffled: time until all have their event",
        "the provider's shared stream with a filter",
        "s",
        Target(">=", 50),
        figure=_times_faster,
    )
    for number in range(1 if scale.short else scale.rounds(2)):
        say(f"shared stream, {SHARING:,} waiting, round {number + 1}")
        peer = asyncio.run(_time_sharing(servers, SHARING))
        result.rounds.append(Round(asyncio.run(_time_ours(servers, SHARING)), peer))
    return result


def _times_faster(each: Round) -> float:
    return each.peer / each.ours


# Ours.


async def _time_ours(servers: str, count: int) -> float:
    with new_topic(servers) as topic, _connection(servers) as connection:
        starts = ends_of(servers, topic)
        jobs = job_ids(count)
        waiting = [
            _first_event(
                KafkaJobTrigger(
                    correlation_id=job,
                    kafka_config_id=connection,
                    response_topic=topic,
                    start_offsets=starts,
                    submitted_at=time.time(),
                    heartbeat_timeout=90.0,
                )
            )
            for job in jobs
        ]
        return await _time(servers, topic, jobs, waiting, _settle)


async def _first_event(trigger: BaseTrigger) -> TriggerEvent:
    """Run a trigger as the triggerer does, until its event."""
    try:
        async for event in trigger.run():
            return event
    finally:
        await trigger.cleanup()
    raise RuntimeError(f"no event came of {trigger}")


async def _settle() -> None:
    await asyncio.sleep(SETTLE_SECONDS)


# The provider's trigger with a consumer for each job.


async def _time_awaiting(servers: str, count: int) -> float:
    jobs = job_ids(count)
    groups = [f"bench-{uuid.uuid4()}" for _ in jobs]
    with new_topic(servers) as topic, contextlib.ExitStack() as stack:
        for group in groups:
            await asyncio.to_thread(_commit_ends, servers, topic, group)
        waiting = [
            _first_event(
                AwaitMessageTrigger(
                    topics=[topic],
                    apply_function=f"{__name__}.{is_reply_to.__name__}",
                    apply_function_args=[job],
                    kafka_config_id=stack.enter_context(_connection(servers, group)),
                )
            )
            for job, group in zip(jobs, groups, strict=True)
        ]
        try:
            return await _time(servers, topic, jobs, waiting, lambda: _stable(servers, groups))
        finally:
            await asyncio.to_thread(_forget, servers, groups)


def is_reply_to(job: str, message: ck.Message) -> dict[str, Any] | None:
    """Say where the record lies if it is a reply to the job: what our event says, too."""
    if message.key() != job.encode():
        return None
    return {"partition": message.partition(), "offset": message.offset()}


def _commit_ends(servers: str, topic: str, group: str) -> None:
    """Have a group go on where the topic ends now."""
    consumer = ck.Consumer({"bootstrap.servers": servers, "group.id": group})
    ends = [ck.TopicPartition(topic, n, at) for n, at in enumerate(ends_of(servers, topic))]
    consumer.commit(offsets=ends, asynchronous=False)
    consumer.close()


async def _stable(servers: str, groups: Sequence[str]) -> None:
    """Return once each group has a member that has partitions."""
    admin = _admin(servers)
    deadline = time.monotonic() + READY_SECONDS
    while not await asyncio.to_thread(_all_stable, admin, groups):
        if time.monotonic() > deadline:
            raise RuntimeError("the provider's consumers did not get their partitions")
        await asyncio.sleep(0.2)


def _admin(servers: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": servers, "log_level": WARNINGS})


def _all_stable(admin: AdminClient, groups: Sequence[str]) -> bool:
    described = [each.result() for each in admin.describe_consumer_groups(list(groups)).values()]
    return all(
        group.members and all(each.assignment.topic_partitions for each in group.members)
        for group in described
    )


def _forget(servers: str, groups: Sequence[str]) -> None:
    """Remove the groups, which have no members by now."""
    admin = _admin(servers)
    for gone in admin.delete_consumer_groups(list(groups)).values():
        with contextlib.suppress(ck.KafkaException):
            gone.result()


# The provider's shared stream.


class _ReplyTrigger(KafkaSharedStreamTrigger):
    """Takes the one record that has the job's id in its value."""

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


async def _time_sharing(servers: str, count: int) -> float:
    from airflow.configuration import conf

    jobs, fired = job_ids(count), deque[int]()
    group = f"bench-{uuid.uuid4()}"
    manager = SharedStreamManager(  # as the triggerer makes it
        max_subscriber_queue=conf.getint("triggerer", "shared_stream_subscriber_queue_size"),
        ack_timeout=conf.getfloat("triggerer", "shared_stream_ack_timeout"),
        cohort_grace_period=conf.getfloat("triggerer", "shared_stream_cohort_grace_period"),
    )
    with new_topic(servers) as topic, _connection(servers, group) as connection:
        await asyncio.to_thread(_commit_ends, servers, topic, group)
        triggers = [_ReplyTrigger(job, topics=[topic], kafka_config_id=connection) for job in jobs]
        waiting = [
            _shared_event(manager, fired, number, trigger)
            for number, trigger in enumerate(triggers)
        ]
        confirming = asyncio.create_task(_confirm(manager, fired))
        try:
            return await _time(servers, topic, jobs, waiting, lambda: _stable(servers, [group]))
        finally:
            confirming.cancel()
            await manager.stop_all()
            await asyncio.to_thread(_forget, servers, [group])


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
        raise RuntimeError(f"no event came of {trigger}")
    return got


async def _confirm(manager: SharedStreamManager, fired: deque[int]) -> None:
    """Tell the manager which events are in the database, as the triggerer's loop does."""
    while True:
        await asyncio.sleep(SYNC_SECONDS)
        manager.confirm_persisted([fired.popleft() for _ in range(len(fired))])


# What they share.


async def _time(
    servers: str,
    topic: str,
    jobs: Sequence[str],
    waiting: Sequence[Awaitable[TriggerEvent]],
    ready: Callable[[], Awaitable[None]],
) -> float:
    """Return the seconds from when the replies are published until all have their event."""
    publisher = await asyncio.to_thread(Publisher, servers, topic, shuffled(jobs))
    tasks = [asyncio.ensure_future(each) for each in waiting]
    try:
        await ready()
        begin = time.perf_counter()
        publisher.go()
        await asyncio.wait_for(_all_of(tasks), ROUND_SECONDS)
        return time.perf_counter() - begin
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        publisher.go()
        await asyncio.to_thread(publisher.close)


async def _all_of(tasks: Sequence[asyncio.Future[TriggerEvent]]) -> None:
    await asyncio.gather(*tasks)


@contextlib.contextmanager
def _connection(servers: str, group: str | None = None) -> Iterator[str]:
    """Give the id of an Airflow connection that exists inside the block."""
    extra: dict[str, Any] = {"bootstrap.servers": servers}
    if group is not None:
        extra |= {
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    connection = f"bench_{uuid.uuid4().hex[:8]}"
    name = f"AIRFLOW_CONN_{connection.upper()}"
    os.environ[name] = json.dumps({"conn_type": "kafka", "extra": extra})
    try:
        yield connection
    finally:
        del os.environ[name]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Airflow's own logs off the table; both sides are spared writing them."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        structlog.configure(**before)
