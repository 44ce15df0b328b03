"""What a worker says of one job, in order: one JobReporter for each delivery of a job."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import CONTENT_TYPES, Encoding
from kafka_bridge.protocol.errors import BrokerUnreachable, DeliveryFailed, RecordLocation
from kafka_bridge.protocol.headers import CORRELATION_ID
from kafka_bridge.protocol.ids import new_event_id
from kafka_bridge.protocol.lifecycle import may_follow
from kafka_bridge.protocol.messages import JobRequest, JobState, Progress, StatusEvent, utc_now

_log = logging.getLogger(__name__)

PROGRESS_SECONDS = 0.5
"""The shortest time between two events that carry progress."""
HEARTBEAT_SHARE = 0.75
"""A heartbeat goes out after this share of the interval, so that it arrives within it."""


RETRY_SECONDS = 1.0
"""The pause before an event that was not taken is sent again: some failures come at once."""


@dataclass(slots=True)
class JobReporter:
    """Publishes the status events of one delivery of one job. Safe to share between threads."""

    producer: RecordProducer
    request: JobRequest
    encoding: Encoding
    worker_id: str
    delivery: int = 1
    _state: JobState | None = None
    _sequence: int = 0
    _last_sent: float = 0.0
    _unsent: tuple[Progress, str | None] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def accepted(self) -> None:
        """Say that the job is in hand, and return once the brokers have it.

        :raises KafkaError: they will not take it, now or later
        """
        self._say_surely(JobState.ACCEPTED)

    def finished(self, state: JobState, **facts: Any) -> None:
        """Say how the job ended, and return once the brokers have it.

        :raises KafkaError: they will not take it, now or later
        """
        self._say_surely(state, **facts)

    def _say_surely(self, state: JobState, **facts: Any) -> None:
        with self._lock:
            event = self._next_event(state, facts)
            sent = self._send(event)
        while True:
            try:
                sent.result()
            except (BrokerUnreachable, DeliveryFailed) as error:
                _log.warning("Job %s, %s: %s; trying again", event.correlation_id, state, error)
                time.sleep(RETRY_SECONDS)
                sent = self._send(event)
            else:
                return

    def _next_event(self, state: JobState, facts: dict[str, Any]) -> StatusEvent:
        event = StatusEvent(
            correlation_id=self.request.correlation_id,
            event_id=new_event_id(),
            delivery=self.delivery,
            sequence=self._sequence,
            state=state,
            occurred_at=utc_now(),
            worker_id=self.worker_id,
            **facts,
        )
        self._state = state
        self._sequence += 1
        self._last_sent = time.monotonic()
        return event

    def _send(self, event: StatusEvent) -> Future[RecordLocation]:
        key = event.correlation_id.encode()
        headers = [
            ("content-type", CONTENT_TYPES[self.encoding].encode()),
            (CORRELATION_ID, key),
        ]
        return self.producer.send(
            self.request.response_topic, key, encode(event, self.encoding), headers
        )

    def progress(self, progress: Progress, message: str | None) -> None:
        """Send progress now, or shortly when the last event has only just gone."""
        with self._lock:
            self._unsent = (progress, message)
            if self._silence() >= PROGRESS_SECONDS:
                self._say_unsent()

    def tick(self) -> None:
        """Send what is due: progress that was held back, else a heartbeat."""
        interval = self.request.heartbeat_interval_ms / 1000
        with self._lock:
            silence = self._silence()
            if self._unsent is not None and silence >= PROGRESS_SECONDS:
                self._say_unsent()
            elif interval and self._state is not None and silence >= interval * HEARTBEAT_SHARE:
                self._say_running()

    def _silence(self) -> float:
        return time.monotonic() - self._last_sent

    def _say_unsent(self) -> None:
        if self._unsent is not None:
            progress, message = self._unsent
            self._unsent = None
            self._say_running(progress=progress, message=message)

    def _say_running(self, **facts: Any) -> None:
        """Send an event that nobody waits for; after the end of the job, nothing."""
        if may_follow(self._state, JobState.RUNNING):
            self._send(self._next_event(JobState.RUNNING, facts))
