"""A plain reply on a real Airflow; `test_plain_service` has the services that send such replies."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.records import Record
from kafka_bridge.testing import Broker, TopicExists
from kafka_bridge.testing.local_airflow import LocalAirflow

from .topic_contents import records_of

pytestmark = pytest.mark.airflow_versions


def test_plain_reply_is_the_result_of_its_task(
    airflow: LocalAirflow, jobs_broker: Broker, eventually: Callable[..., None]
) -> None:
    """The service gets the payload as JSON. Its reply, with the same headers, is the result."""
    servers = jobs_broker.bootstrap_servers
    for topic in ("plain.requests", "plain.replies"):
        with contextlib.suppress(TopicExists):
            jobs_broker.create_topic(topic, 2)
    run_id = airflow.trigger("plain_reply")
    found: list[Record] = []

    def arrived() -> bool:
        found[:] = records_of(servers, "plain.requests")
        return bool(found)

    eventually(arrived, "the request is published", 60)
    (request,) = found
    assert request.value == b'{"path":"a.png"}'
    with RecordProducer(KafkaConfig({"bootstrap.servers": servers})) as producer:
        producer.publish("plain.replies", request.key, b'{"made":"b.png"}', list(request.headers))
    assert airflow.wait_for_run("plain_reply", run_id, 120) == "success"
    assert airflow.xcom("plain_reply", run_id, "work") == {"made": "b.png"}
