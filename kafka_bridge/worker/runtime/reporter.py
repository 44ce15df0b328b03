"""What a worker says of one job, in order: one JobReporter for each delivery of a job."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import (
    AccessDenied,
    BrokerUnreachable,
    DeliveryFailed,
    RecordTooLarge,
)
from kafka_bridge.protocol.event_writer import write_event
from kafka_bridge.protocol.headers import Headers, RawHeaders, event_headers
from kafka_bridge.protocol.ids import new_event_id
from kafka_bridge.protocol.lifecycle import TERMINAL, may_follow
from kafka_bridge.protocol.messages import JobRequest, JobState, Progress, StatusEvent, utc_now
from kafka_bridge.protocol.sanitize import one_line
from kafka_bridge.worker.logs import job_fields
from kafka_bridge.worker.runtime import report_values
from kafka_bridge.worker.runtime.topic_access import TopicAccess

_log = logging.getLogger(__name__)
_delivery_log = bounded_logger(f"{__name__}.delivery")

PROGRESS_SECONDS = 0.5
"""The shortest time between two events that carry progress, and from ACCEPTED to the first."""
HEARTBEAT_SHARE = 0.75
"""A heartbeat goes out after this share of the interval, so that it arrives within it."""
RETRY_SECONDS = 1.0
"""The pause before an event that was not taken is sent again: some failures come at once."""
DENIED_SECONDS = 5.0
"""The same where Kafka refuses access: a person has to act first."""

_PLAIN_FACTS = frozenset({"message", "result", "result_type"})

Settled: TypeAlias = Callable[[BaseException | None], None]
"""Called once the brokers have an event, with None, or will never take it, with the reason."""
EndSettled: TypeAlias = Callable[[JobState, BaseException | None], None]
"""The same for a terminal event, with the state that it says."""


class Sender(Protocol):
    """What events are sent with: a :class:`~kafka_bridge.kafka.producer.RecordProducer`, say."""

    def deliver(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        delivered: Callable[[Exception | None], None],
    ) -> None:
        """Hand a record over; ``delivered`` hears whether the brokers have it."""


@dataclass(slots=True)
class PendingEvent:
    """An event that is sent until the brokers have it.

    ``due``: when it may be sent next, infinite while it is on its way and after that.
    """

    state: JobState
    value: bytes
    request: JobRequest
    settled: Settled
    access: TopicAccess
    due: float = 0.0
    is_settled: bool = False

    def delivered(self, error: Exception | None) -> None:
        """Note whether the brokers have it; where they may yet take it, it is due again."""
        topic = self.request.response_topic
        if isinstance(error, AccessDenied) and self.access.may_come_back(topic):
            self._send_later(
                DENIED_SECONDS,
                "This worker may not write to response topic %s. %s of job %s is kept and sent "
                "again every %g s until it may: %s",
                (topic, self.state, self.request.correlation_id, DENIED_SECONDS, error),
            )
        elif isinstance(error, BrokerUnreachable | DeliveryFailed):
            self._send_later(
                RETRY_SECONDS,
                "%s of job %s could not be published; it is sent again in %g s: %s",
                (self.state, self.request.correlation_id, RETRY_SECONDS, error),
            )
        else:
            if error is None:
                self.access.used(topic)
            self.is_settled = True
            self.settled(error)

    def _send_later(self, seconds: float, message: str, arguments: tuple[object, ...]) -> None:
        _delivery_log.error(message, *arguments, extra=job_fields(self.request))
        self.due = time.monotonic() + seconds


@dataclass(slots=True)
class JobReporter:
    """Publishes the status events of one delivery of one job. Safe to share between threads.

    ``may_publish`` is asked before each event. While it says no, heartbeats and progress are left
    out, and the events that must arrive wait: :meth:`tick` sends them later.
    """

    producer: Sender
    request: JobRequest
    encoding: Encoding
    worker_id: str
    may_publish: Callable[[], bool]
    delivery: int = 1
    external_id: str | None = None
    """What the system that does the work calls the job; every event says it."""
    new_event_id: Callable[[], str] = new_event_id
    access: TopicAccess = field(default_factory=TopicAccess)
    sequence: int = 0
    """Of the next event."""
    note: str | None = None
    """What heartbeats say, where there is something to say."""
    request_headers: RawHeaders = ()
    """The headers of the request's record."""
    _key: bytes = field(init=False)
    _headers: Headers = field(init=False)
    _state: JobState | None = None
    _last_sent: float = 0.0
    _last_progress: float = 0.0
    _complaints: frozenset[str] = frozenset()
    _unsent: tuple[Progress | None, str | None] | None = None
    _surely: PendingEvent | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._key = self.request.correlation_id.encode()
        self._headers = event_headers(self._key, self.encoding, self.request_headers)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to be said: its last event is on its way, or it was abandoned."""
        return self._state in TERMINAL or self._state is JobState.RELEASED

    @property
    def has_sent_end(self) -> bool:
        """Whether its terminal event is on record, or on its way there."""
        surely = self._surely
        is_out = surely is not None and (surely.is_settled or surely.due == math.inf)
        return is_out and self._state in TERMINAL

    def accepted(self, settled: Settled) -> None:
        """Say that the job is in flight."""
        self._last_progress = time.monotonic()
        self._say_surely(JobState.ACCEPTED, settled, {})

    def finished(self, state: JobState, settled: EndSettled, **facts: Any) -> None:
        """Say how the job ended; does nothing where it was released.

        Where no record can hold that, a smaller event goes out instead, until one is taken.

        :param settled: called with the state that was said in the end, and None or the reason why
            the brokers will never have it
        """
        self._finish(state, facts, settled, None)

    def _finish(
        self,
        state: JobState,
        facts: dict[str, Any],
        settled: EndSettled,
        smaller: Iterator[tuple[JobState, dict[str, Any]]] | None,
    ) -> None:
        def said(error: BaseException | None) -> None:
            if not isinstance(error, RecordTooLarge):
                settled(state, error)
                return
            rest = report_values.smaller_ends(state, facts, error) if smaller is None else smaller
            instead = next(rest, None)
            if instead is None:
                settled(state, error)
                return
            _log.warning(
                "Job %s ended as %s, but that event is too large and a smaller one is sent: %s",
                self,
                state,
                error,
                extra=job_fields(self.request),
            )
            self._finish(*instead, settled, rest)

        with self._lock:
            if self._state is not JobState.RELEASED:
                self._say_surely(state, said, facts)

    def released(self, message: str, settled: Settled) -> bool:
        """Hand the job back; return False, and do nothing, where its end is on its way already."""
        with self._lock:
            if self.has_ended:
                return False
            self._say_surely(JobState.RELEASED, settled, {"message": message})
            return True

    def abandon(self) -> None:
        """Say nothing more of the job, whatever its handler does."""
        with self._lock:
            self._state, self._surely = JobState.RELEASED, None

    def _say_surely(self, state: JobState, settled: Settled, facts: dict[str, Any]) -> None:
        with self._lock:
            self._say_unsent()  # the last progress comes before the end
            value = self._next_event(state, facts)
            surely = self._surely = PendingEvent(state, value, self.request, settled, self.access)
            if self.may_publish():
                self._send_surely(surely)

    def _send_surely(self, surely: PendingEvent) -> None:
        surely.due = math.inf
        self._send(surely.value, surely.delivered)

    def _next_event(self, state: JobState, facts: dict[str, Any]) -> bytes:
        sequence, self._state = self.sequence, state
        self.sequence += 1
        self._last_sent = time.monotonic()
        if facts.get("message") is not None:
            facts = {**facts, "message": one_line(facts["message"])}
        if self.encoding is Encoding.AVRO and facts.keys() <= _PLAIN_FACTS:
            return write_event(
                self._key,
                state,
                worker_id=self.worker_id,
                event_id=self.new_event_id(),
                delivery=self.delivery,
                sequence=sequence,
                occurred_at_ms=time.time_ns() // 1_000_000,
                external_id=self.external_id,
                **facts,
            )
        event = StatusEvent(
            correlation_id=self.request.correlation_id,
            event_id=self.new_event_id(),
            delivery=self.delivery,
            sequence=sequence,
            state=state,
            occurred_at=utc_now(),
            worker_id=self.worker_id,
            external_id=self.external_id,
            **facts,
        )
        return encode(event, self.encoding)

    def _send(self, value: bytes, delivered: Callable[[Exception | None], None]) -> None:
        self.producer.deliver(
            self.request.response_topic, self._key, value, self._headers, delivered
        )

    def progress(
        self, completed: object, total: object, unit: object, message: object = None
    ) -> None:
        """Send progress, and a message with it: now, or shortly, at most twice a second.

        Of each, the latest counts. What no event can carry is left out, and logged once for a job.
        """
        progress = report_values.progress(completed, total, unit, self.complain)
        self._report(
            progress, None if message is None else report_values.message(message, self.complain)
        )

    def message(self, text: object) -> None:
        """Send a line for the task's log: now, or shortly, at most twice a second."""
        self._report(None, report_values.message(text, self.complain))

    def _report(self, progress: Progress | None, message: str | None) -> None:
        with self._lock:
            before = self._unsent or (None, None)
            self._unsent = (progress or before[0], message or before[1])
            if self._is_progress_due():
                self._say_unsent()

    def set_external_id(self, name: str) -> None:
        """Send what the system that does the work calls the job.

        :raises InvalidMessage: it is not text
        """
        name = report_values.external_id(name, self.complain)
        with self._lock:
            self.external_id = name
            self._say_running()

    def complain(self, field: str, fault: str) -> None:
        """Log what was left out or cut; once for each field of a job, as it comes in loops."""
        if field not in self._complaints:
            self._complaints |= {field}
            _log.warning("Job %s: %s", self, fault, extra=job_fields(self.request))

    def __str__(self) -> str:
        return f"{self.request.correlation_id} ({self.request.job_type})"

    def say(self, message: str) -> None:
        """Send a line for the task's log."""
        with self._lock:
            self._say_running(message=message)

    def tick(self) -> None:
        """Send what is due: an event that must arrive, progress that was held back, a heartbeat."""
        if not self.may_publish():
            return
        interval = self.request.heartbeat_interval_ms / 1000
        with self._lock:
            if self._surely is not None and not self._surely.is_settled:
                if self._surely.due <= time.monotonic():
                    self._send_surely(self._surely)
                return
            if self._unsent is not None and self._is_progress_due():
                self._say_unsent()
                return
            silence = time.monotonic() - self._last_sent
            if interval and self._state is not None and silence >= interval * HEARTBEAT_SHARE:
                self._say_running(message=self.note)

    def _is_progress_due(self) -> bool:
        """Tell whether progress may go out; heartbeats, however frequent, do not delay it."""
        return time.monotonic() - self._last_progress >= PROGRESS_SECONDS

    def _say_unsent(self) -> None:
        if self._unsent is not None and self.may_publish():
            progress, message = self._unsent
            self._unsent, self._last_progress = None, time.monotonic()
            self._say_running(progress=progress, message=message)

    def _say_running(self, **facts: Any) -> None:
        """Send an event that nobody waits for; after the end of the job, nothing."""
        if may_follow(self._state, JobState.RUNNING) and self.may_publish():
            self._send(self._next_event(JobState.RUNNING, facts), _ignore)


def _ignore(_: Exception | None) -> None:
    """Nobody waits for this one: the next heartbeat comes soon."""
