"""Requests that cannot be read, answered or finished are set aside, untouched, with the reason."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import RecordLocation, RecordTooLarge
from kafka_bridge.protocol.headers import REPLY_TOPIC, dead_letter_headers, text_header
from kafka_bridge.protocol.ids import correlation_id_from_key, new_event_id
from kafka_bridge.protocol.messages import ErrorType, JobState, StatusEvent, utc_now
from kafka_bridge.worker.errors import failure
from kafka_bridge.worker.observation import Observer

_log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0


class DeadLetters:
    """Writes the dead-letter topic."""

    def __init__(
        self, producer: RecordProducer, topic: str, worker_id: str, observer: Observer
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._worker_id = worker_id
        self._observer = observer

    def set_aside(self, record: Record, error: BaseException, done: Callable[[], None]) -> None:
        """Send a request's original bytes to the dead letters; headers say where from and why.

        ``done`` is called once the brokers have it; until then it is sent again and again. Where
        the headers make the record too large, it goes without its value: they say where that lies.
        """
        about = {"correlation_id": correlation_id_from_key(record.key)}
        _log.error("Request %s goes to %s: %s", record.location, self._topic, error, extra=about)
        self._observer.dead_letter(type(error).__name__)
        self._send(record, record.value, error, done)

    def _send(
        self, record: Record, value: bytes | None, error: BaseException, done: Callable[[], None]
    ) -> None:
        headers = record.headers + dead_letter_headers(record.location, record.timestamp_ms, error)

        def acknowledged(sent: Future[RecordLocation]) -> None:
            failed = sent.exception()
            if failed is None:
                done()
                return
            _log.error("Request %s is not set aside yet: %s", record.location, failed)
            again = None if isinstance(failed, RecordTooLarge) else value
            timer = threading.Timer(RETRY_SECONDS, self._send, (record, again, error, done))
            timer.daemon = True
            timer.start()

        self._producer.send(self._topic, record.key, value, headers).add_done_callback(acknowledged)

    def tell_sender(self, record: Record, error: Exception) -> None:
        """Let the waiting task know that its request is unreadable, where that can be done.

        In JSON, which any reader of the protocol reads.
        """
        correlation_id = correlation_id_from_key(record.key)
        reply_topic = text_header(record.headers, REPLY_TOPIC)
        if correlation_id is None or not reply_topic:
            return
        event = StatusEvent(
            correlation_id=correlation_id,
            event_id=new_event_id(),
            sequence=0,
            state=JobState.FAILED,
            occurred_at=utc_now(),
            worker_id=self._worker_id,
            error=failure(ErrorType.UNREADABLE, str(error), retryable=False),
        )
        self._producer.send(reply_topic, record.key, encode(event, Encoding.JSON), [])
