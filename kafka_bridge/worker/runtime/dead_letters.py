"""Writes requests that cannot be read, answered or finished to a topic, with the reason."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import RecordTooLarge, RemoteProtocolError
from kafka_bridge.protocol.headers import (
    REPLY_TOPIC,
    Headers,
    dead_letter_headers,
    event_headers,
    text_header,
)
from kafka_bridge.protocol.ids import correlation_id_from_key, new_event_id
from kafka_bridge.protocol.messages import ErrorType, JobState, StatusEvent, utc_now
from kafka_bridge.worker.errors import failure
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime.reporter import Sender

_log = bounded_logger(__name__)

RETRY_SECONDS = 5.0
"""The pause before a dead letter that failed is sent again; it doubles with each failure."""
LONGEST_RETRY_SECONDS = 60.0
MAX_UNSENT = 1_000
"""How many dead letters may be unacknowledged before the worker consumes no more requests."""


@dataclass(slots=True, eq=False)
class _Letter:
    """A dead letter that the brokers do not have yet. ``done`` is called once they have it."""

    record: Record
    value: bytes | None
    headers: Headers
    error: BaseException
    done: Callable[[], None]

    def shrink(self) -> bool:
        """Drop the largest part that is not essential; return False if there is no such part."""
        if self.value is not None:
            self.value = None
        elif self.headers:
            self.headers = []
        else:
            return False
        return True


class DeadLetters:
    """Writes the dead-letter topic.

    A dead letter that the brokers refuse is sent again until they have it. If several wait, one of
    them is tried, with growing pauses, and the others follow when it succeeds: a permission
    that is missing for a day costs a few hundred tries.
    """

    def __init__(self, producer: Sender, topic: str, worker_id: str, observer: Observer) -> None:
        self._producer = producer
        self._topic = topic
        self._worker_id = worker_id
        self._observer = observer
        self._lock = threading.Lock()
        self._waiting: deque[_Letter] = deque()
        self._timer: threading.Timer | None = None
        self._pause = RETRY_SECONDS
        self._unsent = 0

    @property
    def is_full(self) -> bool:
        """Whether too many dead letters are unacknowledged to consume more requests."""
        return self._unsent >= MAX_UNSENT

    def write(self, record: Record, error: BaseException, done: Callable[[], None]) -> None:
        """Write the original bytes of a request; headers name its place and the reason.

        Returns at once. If the added headers make the record too large, it is sent without its
        value: the headers say where the value is.

        :param done: called on any thread once the brokers have it
        """
        about = {"correlation_id": correlation_id_from_key(record.key)}
        _log.error(
            "Writing request %s to the dead-letter topic %s: %s",
            record.location,
            self._topic,
            error.reason if isinstance(error, RemoteProtocolError) else error,
            extra=about,
        )
        self._observer.dead_letter(type(error).__name__)
        with self._lock:
            self._unsent += 1
        self._send(_Letter(record, record.value, record.headers, error, done))

    def _send(self, letter: _Letter) -> None:
        record = letter.record
        added = dead_letter_headers(record.location, record.timestamp_ms, letter.error)
        self._producer.deliver(
            self._topic,
            record.key,
            letter.value,
            letter.headers + added,
            partial(self._sent, letter),
        )

    def _sent(self, letter: _Letter, failed: Exception | None) -> None:
        if failed is None:
            with self._lock:
                self._unsent -= 1
                self._pause = RETRY_SECONDS
                followers, self._waiting = self._waiting, deque()
            letter.done()
            for each in followers:
                self._send(each)
        elif isinstance(failed, RecordTooLarge) and letter.shrink():
            self._send(letter)
        else:
            self._send_later(letter, failed)

    def _send_later(self, letter: _Letter, failed: Exception) -> None:
        with self._lock:
            self._waiting.append(letter)
            pause = self._pause
            if self._timer is None:
                self._timer = threading.Timer(pause, self._try_again)
                self._timer.name, self._timer.daemon = "kafka-bridge-dead-letters", True
                self._timer.start()
        _log.error(
            "Could not write request %s to the dead-letter topic; its offset is not committed. "
            "Retrying in %g s: %s",
            letter.record.location,
            pause,
            failed,
        )

    def _try_again(self) -> None:
        with self._lock:
            self._timer = None
            self._pause = min(LONGEST_RETRY_SECONDS, 2 * self._pause)
            letter = self._waiting.popleft() if self._waiting else None
        if letter is not None:
            self._send(letter)

    def notify_sender(self, record: Record, error: Exception) -> None:
        """Fail the task that waits for an unreadable request, if its sender is known.

        The event is JSON, which every reader of the protocol understands.
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
        value = encode(event, Encoding.JSON)
        headers = event_headers(correlation_id.encode(), Encoding.JSON, record.headers)
        self._producer.deliver(reply_topic, record.key, value, headers, lambda _: None)
