"""Callbacks on their way to their topic: of each it is known whether Kafka has it."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.errors import DeliveryFailed, KafkaBridgeError
from kafka_bridge.protocol.headers import Headers, text_header

_log = logging.getLogger(__name__)

PUBLISH_SECONDS = 10.0
"""How long a service waits at the most to hear whether its callback was taken."""
MOST_BYTES = 64 * 1024 * 1024
"""So much may be on its way at a time: librdkafka's queue, which would block us, is never full."""
RECORD_BYTES = 1000
"""What a record counts for besides its body: with the former it also limits how many there are."""
JOB_TYPE = "kafka-bridge-job-type"
ENDS_JOB = "kafka-bridge-ends-job"


def callback_headers(job_type: str, *, ends_job: bool) -> Headers:
    """Return the headers of a callback's record."""
    texts = {
        "content-type": "application/json",
        JOB_TYPE: job_type,
        ENDS_JOB: "true" if ends_job else "false",
    }
    return [(name, text.encode()) for name, text in texts.items()]


def ends_job(headers: Headers) -> bool:
    """Tell whether a callback with these headers is its job's end."""
    return text_header(headers, ENDS_JOB) == "true"


class CallbackPublisher:
    """Sends callbacks to their topic and says of each when the brokers have it.

    :param config: how to reach Kafka
    :param topic: where to
    """

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        self._config = config
        self._topic = topic
        self._in_flight = 0
        self._producer = RecordProducer(config, PUBLISH_SECONDS)

    async def publish(self, job_id: str, body: bytes, headers: Headers) -> None:
        """Send a callback; return once every in-sync replica has it.

        :raises KafkaError: they may not have it
        """
        size = RECORD_BYTES + len(body)
        if self._in_flight + size > MOST_BYTES:
            raise DeliveryFailed(f"{self._in_flight:,} bytes of callbacks are waiting for Kafka")
        producer = self._producer
        try:
            await self._sent(producer, job_id.encode(), body, headers, size)
        except KafkaBridgeError:
            await self._replace_if_useless(producer)
            raise

    def _sent(
        self, producer: RecordProducer, key: bytes, body: bytes, headers: Headers, size: int
    ) -> asyncio.Future[None]:
        """Hand a record over; return what comes of it."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[None] = loop.create_future()
        self._in_flight += size

        def settle(error: Exception | None) -> None:
            self._in_flight -= size
            if outcome.done():  # nobody waits any more
                return
            if error is None:
                outcome.set_result(None)
            else:
                outcome.set_exception(error)

        def delivered(error: Exception | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the receiver has ended
                loop.call_soon_threadsafe(settle, error)

        producer.deliver(self._topic, key, body, headers, delivered)
        return outcome

    async def _replace_if_useless(self, producer: RecordProducer) -> None:
        """Open another producer where librdkafka has given this one up."""
        try:
            producer.check()
        except KafkaBridgeError as error:
            if producer is self._producer:
                _log.warning("The producer of callbacks failed and is replaced: %s", error)
                self._producer = RecordProducer(self._config, PUBLISH_SECONDS)
                await asyncio.to_thread(producer.close)

    def close(self) -> None:
        """Wait until what is on its way is acknowledged or has failed, then let go."""
        self._producer.close()
