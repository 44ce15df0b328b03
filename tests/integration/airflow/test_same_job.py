"""Several tasks of one process wait for the same job."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from kafka_bridge.airflow import KafkaJobTrigger
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.testing import Broker

from ..jobs import config_of
from .waiting_jobs import answer, new_jobs

if TYPE_CHECKING:
    from conftest import TopicFactory


async def test_every_waiter_of_the_same_job_receives_its_end(
    real_broker: Broker, topics: TopicFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two wait before it finishes and one after that: all three get the same event."""
    extra = {"bootstrap.servers": real_broker.bootstrap_servers}
    monkeypatch.setenv(
        "AIRFLOW_CONN_THE_BROKER", json.dumps({"conn_type": "kafka", "extra": extra})
    )
    topic, (job,) = topics("responses", partitions=2), new_jobs(1)

    async def wait() -> Any:
        trigger = KafkaJobTrigger(
            correlation_id=job,
            kafka_config_id="the_broker",
            response_topic=topic,
            start_offsets=[0, 0],
            submitted_at=time.time(),
        )
        return [event.payload async for event in trigger.run()]

    def end() -> None:
        with RecordProducer(config_of(real_broker.bootstrap_servers)) as producer:
            answer(producer, topic, [job])

    early = [asyncio.create_task(wait()) for _ in range(2)]
    async with asyncio.timeout(30):
        await asyncio.to_thread(end)
        late = await wait()
        told = await asyncio.gather(*early)
    assert told == [late, late]
    assert [event["state"] for event in late] == ["SUCCEEDED"]
