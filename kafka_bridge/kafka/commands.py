"""Publish commands on the control topic, which every worker reads from its beginning."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.headers import command_headers
from kafka_bridge.protocol.messages import Command, JobCommand, utc_now


def send_cancel(
    producer: RecordProducer,
    topic: str,
    correlation_id: str,
    reason: str | None,
    encoding: Encoding = Encoding.AVRO,
) -> Future[RecordLocation]:
    """Publish a command to cancel a job, and return at once.

    A finished job is left as it is; cancelling twice has the effect of cancelling once.

    :param topic: the control topic
    :param reason: in words, for the worker's log and for the job's CANCELLED event
    :returns: as :meth:`RecordProducer.send`
    :raises InvalidMessage: the correlation id is not valid
    """
    command = JobCommand(
        correlation_id=correlation_id, command=Command.CANCEL, reason=reason, issued_at=utc_now()
    )
    return producer.send(
        topic,
        correlation_id.encode(),
        encode(command, encoding),
        command_headers(command, encoding),
    )


def cancel(
    config: KafkaConfig,
    topic: str,
    correlation_id: str,
    reason: str | None,
    *,
    encoding: Encoding = Encoding.AVRO,
    timeout: float,
) -> RecordLocation:
    """Cancel one job, and return the command's location once the brokers have it.

    :param timeout: seconds until the brokers must have it
    :raises InvalidMessage: the correlation id is not valid
    :raises KafkaError: the brokers do not have it
    """
    with RecordProducer(config, timeout) as producer:
        producer.connect(topic)
        return send_cancel(producer, topic, correlation_id, reason, encoding).result()


def cancel_all(
    config: KafkaConfig,
    topic: str,
    correlation_ids: Iterable[str],
    reason: str | None,
    *,
    encoding: Encoding = Encoding.AVRO,
    timeout: float,
) -> None:
    """Cancel many jobs; return once the brokers have all the commands.

    :param timeout: seconds until the brokers must have them
    :raises KafkaError: the brokers do not have one of them
    """
    with RecordProducer(config, timeout) as producer:
        producer.connect(topic)
        sent = [send_cancel(producer, topic, job, reason, encoding) for job in correlation_ids]
        for each in sent:
            each.result()
