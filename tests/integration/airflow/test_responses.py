"""The process's shared readers, through an Airflow connection, on a real Kafka."""

from __future__ import annotations

import asyncio
import json
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from kafka_bridge.airflow.triggerer import shared_readers
from kafka_bridge.airflow.triggerer.hub import ResponseHub
from kafka_bridge.airflow.triggerer.shared_readers import join_hub
from kafka_bridge.airflow.triggerer.waiter import Waiter
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.responses.subscriptions import Arrival
from kafka_bridge.testing import Broker

from ..jobs import config_of
from .waiting_jobs import answer, new_jobs

if TYPE_CHECKING:
    from conftest import TopicFactory


def readers(topic: str) -> list[threading.Thread]:
    """Return the threads that read a topic."""
    return [each for each in threading.enumerate() if each.name.endswith(topic)]


async def until_no_reader(topic: str) -> None:
    """Wait until nobody reads a topic."""
    async with asyncio.timeout(20):
        while readers(topic):  # noqa: ASYNC110  a thread ends by itself
            await asyncio.sleep(0.02)


async def test_reader_closes_when_nobody_waits_and_opens_again(
    real_broker: Broker, topics: TopicFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some time after the last job left there is no consumer; the next job has a new one."""
    monkeypatch.setattr(shared_readers, "ResponseHub", partial(ResponseHub, linger=0.2))
    extra = {"bootstrap.servers": real_broker.bootstrap_servers}
    connection = json.dumps({"conn_type": "kafka", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_RESPONSES_TEST", connection)
    topic = topics("responses", partitions=2)
    with RecordProducer(config_of(real_broker.bootstrap_servers)) as producer:
        for job in new_jobs(2):
            with await join_hub(Waiter([job], [0, 0]), "responses_test", topic) as waiter:
                await asyncio.to_thread(answer, producer, topic, [job])
                assert len(readers(topic)) == 1
                async with asyncio.timeout(20):
                    received = await waiter.next(None)
                assert received is not None
                assert received[0] == job
                assert isinstance(received[1], Arrival)
            await until_no_reader(topic)
