"""What Kafka says of one DAG run's job. Anybody may listen in: topics are there to be read."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import confluent_kafka as ck

from kafka_bridge.kafka.config import GROUP_PREFIX
from kafka_bridge.kafka.records import Record
from kafka_bridge.kafka.topics import TopicNames
from kafka_bridge.protocol.errors import BrokerUnreachable, RemoteProtocolError
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobRequest, StatusEvent

NAMES = TopicNames()


def job_of_run(servers: str, run_id: str, timeout: float) -> JobRequest:
    """Wait until a DAG run has published its job request, and return that.

    :param timeout: seconds
    :raises BrokerUnreachable: it did not turn up in time
    """
    for record in _records(servers, NAMES.requests, timeout):
        try:
            request = record.decode(JobRequest)
        except RemoteProtocolError:
            continue
        if request.task is not None and request.task.run_id == run_id:
            return request
    raise BrokerUnreachable(f"run {run_id} published no job request within {timeout:g} s")


def events_of_job(servers: str, correlation_id: str, timeout: float) -> Iterator[StatusEvent]:
    """Yield what the worker says of a job, as it says it, until the job ends.

    :param timeout: seconds
    """
    for record in _records(servers, NAMES.responses, timeout):
        if record.key == correlation_id.encode():
            event = record.decode(StatusEvent)
            yield event
            if event.state in TERMINAL:
                return


def _records(servers: str, topic: str, timeout: float) -> Iterator[Record]:
    settings = {"bootstrap.servers": servers, "group.id": f"{GROUP_PREFIX}demo-{uuid.uuid4()}"}
    consumer = ck.Consumer({**settings, "enable.auto.commit": False})
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([ck.TopicPartition(topic, p, ck.OFFSET_BEGINNING) for p in partitions])
        give_up = time.monotonic() + timeout
        while time.monotonic() < give_up:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                yield Record.of(message)
    finally:
        consumer.close()
