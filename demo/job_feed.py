"""Reads the requests and events of one DAG run's jobs from Kafka, as any consumer can."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterator

import confluent_kafka as ck

from kafka_bridge.kafka.config import GROUP_PREFIX
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.errors import BrokerUnreachable, RemoteProtocolError
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobRequest, StatusEvent
from kafka_bridge.protocol.topics import REQUEST_TOPIC, RESPONSE_TOPIC


def jobs_of_run(
    servers: str,
    run_id: str,
    timeout: float,
    *,
    count: int = 1,
    topics: Collection[str] = (REQUEST_TOPIC,),
) -> list[JobRequest]:
    """Wait until a DAG run has published ``count`` job requests, and return them.

    :param timeout: seconds
    :raises BrokerUnreachable: they did not arrive in time
    """
    found: list[JobRequest] = []
    for record in _records(servers, topics, timeout):
        try:
            request = record.decode(JobRequest)
        except RemoteProtocolError:
            continue
        if request.task is not None and request.task.run_id == run_id:
            found.append(request)
        if len(found) == count:
            return found
    raise BrokerUnreachable(
        f"run {run_id} published {len(found)} job requests of {count} within {timeout:g} s"
    )


def events_of_jobs(servers: str, jobs: Collection[str], timeout: float) -> Iterator[StatusEvent]:
    """Yield the events of jobs as they arrive, until each job is finished.

    :param jobs: their correlation ids
    :param timeout: seconds
    """
    running = set(jobs)
    for record in _records(servers, [RESPONSE_TOPIC], timeout):
        if record.key is not None and record.key.decode() in running:
            event = record.decode(StatusEvent)
            yield event
            if event.state in TERMINAL:
                running.remove(event.correlation_id)
                if not running:
                    return


def _records(servers: str, topics: Collection[str], timeout: float) -> Iterator[Record]:
    settings = {"bootstrap.servers": servers, "group.id": f"{GROUP_PREFIX}demo-{uuid.uuid4()}"}
    consumer = ck.Consumer({**settings, "enable.auto.commit": False})
    try:
        consumer.assign([each for topic in topics for each in _partitions(consumer, topic)])
        give_up = time.monotonic() + timeout
        while time.monotonic() < give_up:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                yield Record.of(message)
    finally:
        consumer.close()


def _partitions(consumer: ck.Consumer, topic: str) -> list[ck.TopicPartition]:
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    return [ck.TopicPartition(topic, number, ck.OFFSET_BEGINNING) for number in partitions]
