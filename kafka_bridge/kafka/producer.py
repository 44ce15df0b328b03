"""A producer whose failures are raised: idempotent, ``acks=all``, one future for each record."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from types import TracebackType
from typing import Self

import confluent_kafka as ck

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.failures import kafka_error, too_large, translate
from kafka_bridge.kafka.records import location_of
from kafka_bridge.protocol.errors import DeliveryFailed, RecordLocation
from kafka_bridge.protocol.headers import Headers

DELIVERY_TIMEOUT = 30.0
"""Seconds until a record that no broker acknowledged counts as failed."""
_POLL_SECONDS = 0.1


class RecordProducer:
    """Sends records and says of each whether the brokers have it. Safe to share between threads.

    :param config: how to reach Kafka
    :param delivery_timeout: seconds until an unacknowledged record fails
    """

    def __init__(self, config: KafkaConfig, delivery_timeout: float = DELIVERY_TIMEOUT) -> None:
        self._servers = config.bootstrap_servers
        self._delivery_timeout = delivery_timeout
        self._producer = make(ck.Producer, config.producer(delivery_timeout))
        self._closing = threading.Event()
        self._poller = threading.Thread(
            target=self._serve_reports, name="kafka-bridge-producer", daemon=True
        )
        self._poller.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> Future[RecordLocation]:
        """Hand a record over and return at once.

        The future resolves to where the record lies once every in-sync replica has it, or to
        :class:`TopicNotFound`, :class:`RecordTooLarge`, :class:`AccessDenied`,
        :class:`BrokerUnreachable` or :class:`DeliveryFailed`.
        """
        outcome: Future[RecordLocation] = Future()

        def report(error: ck.KafkaError | None, message: ck.Message) -> None:
            if error is None:
                outcome.set_result(location_of(message))
            else:
                outcome.set_exception(self._failure(error, topic, value))

        try:
            self._produce(topic, key, value, headers, report)
        except (ck.KafkaException, BufferError) as error:
            outcome.set_exception(self._failure(error, topic, value))
        return outcome

    def publish(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> RecordLocation:
        """Send a record, wait for its acknowledgement, and return where it lies.

        :raises KafkaError: the brokers do not have it; see :meth:`send`
        """
        return self.send(topic, key, value, headers).result()

    def _produce(self, topic, key, value, headers, report) -> None:  # type: ignore[no-untyped-def]
        give_up = time.monotonic() + self._delivery_timeout
        while True:
            try:
                return self._producer.produce(
                    topic, value=value, key=key, headers=headers, on_delivery=report
                )
            except BufferError:  # the local queue is full: wait until the brokers took some
                if time.monotonic() > give_up:
                    raise
                time.sleep(_POLL_SECONDS)

    def _failure(
        self,
        error: ck.KafkaException | ck.KafkaError | BufferError,
        topic: str,
        value: bytes | None,
    ) -> Exception:
        doing = f"sending to topic {topic!r}"
        if isinstance(error, BufferError):
            return DeliveryFailed(f"{doing} to {self._servers} failed: the send queue stayed full")
        cause = kafka_error(error)
        if cause.code() == ck.KafkaError.MSG_SIZE_TOO_LARGE:
            return too_large(topic, len(value or b""), cause.str())
        return translate(cause, doing=doing, servers=self._servers, topic=topic)

    def _serve_reports(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(_POLL_SECONDS)

    def close(self) -> None:
        """Wait until every record is acknowledged or has failed, then let go."""
        self._producer.flush(self._delivery_timeout)
        self._closing.set()
        self._poller.join()
