"""Runs triggers without a triggerer, with what a round of them needs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import confluent_kafka as ck
import structlog
from airflow.triggers.base import TriggerEvent
from confluent_kafka.admin import AdminClient

from bench.traffic import Publisher, ends_of, shuffled

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

READY_SECONDS = 60.0
ROUND_SECONDS = 240.0
WARNINGS = 4
"""The syslog level from which librdkafka logs."""


async def first_event(trigger: BaseTrigger) -> TriggerEvent:
    """Run a trigger as the triggerer does; return its first event."""
    try:
        async for event in trigger.run():
            return event
    finally:
        await trigger.cleanup()
    raise RuntimeError(f"the trigger fired no event: {trigger}")


async def time_until_all_fired(
    servers: str,
    topic: str,
    jobs: Sequence[str],
    waiting: Sequence[Awaitable[TriggerEvent]],
    ready: Callable[[], Awaitable[None]],
) -> float:
    """Return the seconds from the publish of the replies until every trigger has fired."""
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
def kafka_connection(servers: str, group: str | None = None) -> Iterator[str]:
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
def quiet_logs() -> Iterator[None]:
    """Turn off Airflow's own logs, for both sides."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        structlog.configure(**before)


def commit_ends(servers: str, topic: str, group: str) -> None:
    """Commit the current ends of the topic for a group."""
    consumer = ck.Consumer({"bootstrap.servers": servers, "group.id": group})
    ends = [ck.TopicPartition(topic, n, at) for n, at in enumerate(ends_of(servers, topic))]
    consumer.commit(offsets=ends, asynchronous=False)
    consumer.close()


async def until_stable(servers: str, groups: Sequence[str]) -> None:
    """Return when every member of each group has partitions."""
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


def forget_groups(servers: str, groups: Sequence[str]) -> None:
    """Delete the groups, which no longer have members."""
    admin = _admin(servers)
    for gone in admin.delete_consumer_groups(list(groups)).values():
        with contextlib.suppress(ck.KafkaException):
            gone.result()
