"""Publishes callbacks to their topic, and reports for each whether it is stored."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.errors import DeliveryFailed, KafkaBridgeError
from kafka_bridge.protocol.headers import Headers, RawHeaders, text_header

_log = logging.getLogger(__name__)

PUBLISH_SECONDS = 10.0
"""The longest time that a service waits for the answer to its callback."""
MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024
"""The limit for callbacks in flight. librdkafka's queue, which would block, is never full."""
RECORD_BYTES = 1000
"""Counted for each record besides its body, so that the number of records is limited, too."""
JOB_TYPE = "kafka-bridge-job-type"
ENDS_JOB = "kafka-bridge-ends-job"


def callback_headers(job_type: str, *, ends_job: bool) -> Headers:
    """Return the headers of the record of a callback."""
    texts = {
        "content-type": "application/json",
        JOB_TYPE: job_type,
        ENDS_JOB: "true" if ends_job else "false",
    }
    return [(name, text.encode()) for name, text in texts.items()]


def ends_job(headers: RawHeaders) -> bool:
    """Return whether a callback with these headers finishes its job."""
    return text_header(headers, ENDS_JOB) == "true"


class CallbackPublisher:
    """Publishes callbacks and waits for the acknowledgement of each.

    :param config: the configuration of Kafka
    :param topic: the callback topic
    """

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        self._config = config
        self._topic = topic
        self._in_flight = 0
        self._producer = RecordProducer(config, PUBLISH_SECONDS)

    async def publish(self, job_id: str, body: bytes, headers: Headers) -> None:
        """Publish a callback; return when every in-sync replica has it.

        :raises KafkaError: the callback may not be stored
        """
        size = RECORD_BYTES + len(body)
        if self._in_flight + size > MAX_IN_FLIGHT_BYTES:
            raise DeliveryFailed(f"{self._in_flight:,} bytes of callbacks are waiting for Kafka")
        producer = self._producer
        try:
            await self._sent(producer, job_id.encode(), body, headers, size)
        except KafkaBridgeError:
            await self._replace_if_failed(producer)
            raise

    def _sent(
        self, producer: RecordProducer, key: bytes, body: bytes, headers: Headers, size: int
    ) -> asyncio.Future[None]:
        """Publish a record; return a future for the acknowledgement."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[None] = loop.create_future()
        self._in_flight += size

        def settle(error: Exception | None) -> None:
            self._in_flight -= size
            if outcome.done():  # the waiting request was cancelled
                return
            if error is None:
                outcome.set_result(None)
            else:
                outcome.set_exception(error)

        def delivered(error: Exception | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the receiver has stopped
                loop.call_soon_threadsafe(settle, error)

        producer.deliver(self._topic, key, body, headers, delivered)
        return outcome

    async def _replace_if_failed(self, producer: RecordProducer) -> None:
        """Replace the producer if it has a fatal error."""
        try:
            producer.check()
        except KafkaBridgeError as error:
            if producer is self._producer:
                _log.warning("The producer of callbacks failed and is replaced: %s", error)
                self._producer = RecordProducer(self._config, PUBLISH_SECONDS)
                await asyncio.to_thread(producer.close)

    def close(self) -> None:
        """Wait until all callbacks in flight are acknowledged or failed; close the producer."""
        self._producer.close()
