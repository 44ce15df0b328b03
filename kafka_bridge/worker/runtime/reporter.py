"""Publishes the status events of one delivery of a job, in order."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeAlias

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.protocol.checkpoint import with_checkpoint
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
from kafka_bridge.protocol.log_lines import log_attributes, summary
from kafka_bridge.protocol.messages import JobRequest, JobState, Progress, StatusEvent, utc_now
from kafka_bridge.protocol.sanitize import one_line
from kafka_bridge.worker.logs import job_fields
from kafka_bridge.worker.runtime import report_values
from kafka_bridge.worker.runtime.job_lines import LOG_SECONDS, JobLines
from kafka_bridge.worker.runtime.topic_access import TopicAccess

_log = logging.getLogger(__name__)
_delivery_log = bounded_logger(f"{__name__}.delivery")

PROGRESS_SECONDS = 0.5
"""The shortest time between two events that carry progress, and from ACCEPTED to the first."""
CHECKPOINT_SECONDS = 0.25
"""The shortest time between two events that are published for a new checkpoint: together with
progress, fewer than a triggerer decodes of a job."""
HEARTBEAT_SHARE = 0.75
"""A heartbeat goes out after this share of the interval, so that it arrives within it."""
RETRY_SECONDS = 1.0
"""The pause before an event is sent again: some failures come at once."""
DENIED_SECONDS = 5.0
"""The same if Kafka refuses access: a person has to act first."""

_PLAIN_FACTS = frozenset({"message", "result", "result_type"})

Settled: TypeAlias = Callable[[BaseException | None], None]
"""Called with None once the brokers have an event, or with the reason why they never will."""
EndSettled: TypeAlias = Callable[[JobState, BaseException | None], None]
"""The same for a terminal event; its state comes first."""


class Sender(Protocol):
    """Publishes records, as a :class:`~kafka_bridge.kafka.producer.RecordProducer` does."""

    def deliver(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        delivered: Callable[[Exception | None], None],
    ) -> None:
        """Publish a record.

        :param delivered: called with None once the brokers have it, or with the error
        """


@dataclass(slots=True)
class PendingEvent:
    """An event that is sent again until the brokers have it.

    :ivar settled: called then; None after that
    :ivar due: when to send it next (monotonic seconds); infinite once it was sent
    """

    state: JobState
    value: bytes
    request: JobRequest
    settled: Settled | None
    access: TopicAccess
    due: float = 0.0

    @property
    def is_settled(self) -> bool:
        """Whether the brokers have it, or never will."""
        return self.settled is None

    def delivered(self, error: Exception | None) -> None:
        """Note whether the brokers have it; if they may accept it later, it is due again."""
        topic = self.request.response_topic
        if isinstance(error, AccessDenied) and self.access.may_come_back(topic):
            self._send_later(
                DENIED_SECONDS,
                "No permission to write to response topic %s. Publishing %s of job %s is retried "
                "every %g s until it is granted: %s",
                (topic, self.state, self.request.correlation_id, DENIED_SECONDS, error),
            )
        elif isinstance(error, BrokerUnreachable | DeliveryFailed):
            self._send_later(
                RETRY_SECONDS,
                "Publishing %s of job %s failed; retrying in %g s: %s",
                (self.state, self.request.correlation_id, RETRY_SECONDS, error),
            )
        else:
            if error is None:
                self.access.used(topic)
            if (settled := self.settled) is not None:
                self.settled = None  # it refers to the job, which refers to this event
                settled(error)

    def _send_later(self, seconds: float, message: str, arguments: tuple[object, ...]) -> None:
        _delivery_log.error(message, *arguments, extra=job_fields(self.request))
        self.due = time.monotonic() + seconds


@dataclass(slots=True)
class JobReporter:
    """Publishes the status events of one delivery of one job. Safe to share between threads.

    ``may_publish`` is called before each event. While it is false, heartbeats and progress are
    dropped, and the events that must arrive wait: :meth:`tick` publishes them later.
    """

    producer: Sender
    request: JobRequest
    encoding: Encoding
    worker_id: str
    may_publish: Callable[[], bool]
    delivery: int = 1
    external_id: str | None = None
    """What the system that does the work calls the job; it is in every event."""
    checkpoint: str | None = None
    """What the handler saved last, as JSON text; it is in every event but the terminal one."""
    new_event_id: Callable[[], str] = new_event_id
    access: TopicAccess = field(default_factory=TopicAccess)
    sequence: int = 0
    """Of the next event."""
    note: str | None = None
    """The message of heartbeats, if any."""
    request_headers: RawHeaders = ()
    """The headers of the request's record."""
    lines: JobLines | None = None
    """What the job logs, if that is forwarded."""
    _key: bytes = field(init=False)
    _headers: Headers = field(init=False)
    _state: JobState | None = None
    _last_sent: float = 0.0
    _last_progress: float = 0.0
    _last_lines: float = 0.0
    _last_checkpoint: float = -math.inf
    _is_checkpoint_unsent: bool = False
    _complaints: frozenset[str] = frozenset()
    _unsent: tuple[Progress | None, str | None] | None = None
    _pending: PendingEvent | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._key = self.request.correlation_id.encode()
        self._headers = event_headers(self._key, self.encoding, self.request_headers)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is published: the last event was sent, or the job was abandoned."""
        return self._state in TERMINAL or self._state is JobState.RELEASED

    @property
    def has_sent_end(self) -> bool:
        """Whether its terminal event is on record, or on its way there."""
        pending = self._pending
        is_out = pending is not None and (pending.is_settled or pending.due == math.inf)
        return is_out and self._state in TERMINAL

    def accepted(self, settled: Settled) -> None:
        """Publish ACCEPTED.

        :param settled: called once the brokers have it, or will never have it
        """
        self._last_progress = self._last_lines = time.monotonic()
        self._publish_surely(JobState.ACCEPTED, settled, {})

    def finished(self, state: JobState, settled: EndSettled, **facts: Any) -> None:
        """Publish the terminal event; do nothing if the job was released or abandoned.

        If the event is too large for its topic, smaller ones are published until one is accepted.

        :param settled: called with the state that was published, and None or the reason why the
            brokers will never have the event
        """
        self._finish(state, facts, settled, None)

    def _finish(
        self,
        state: JobState,
        facts: dict[str, Any],
        settled: EndSettled,
        smaller: Iterator[tuple[JobState, dict[str, Any]]] | None,
    ) -> None:
        def delivered(error: BaseException | None) -> None:
            if not isinstance(error, RecordTooLarge):
                settled(state, error)
                return
            rest = report_values.smaller_ends(state, facts, error) if smaller is None else smaller
            instead = next(rest, None)
            if instead is None:
                settled(state, error)
                return
            _log.warning(
                "The terminal event %s of job %s is too large; publishing a smaller one: %s",
                state,
                self,
                error,
                extra=job_fields(self.request),
            )
            self._finish(*instead, settled, rest)

        with self._lock:
            if self._state is not JobState.RELEASED:
                self._publish_surely(state, delivered, facts)

    def released(self, message: str, settled: Settled) -> bool:
        """Publish RELEASED; return False, and do nothing, if the terminal event was published."""
        with self._lock:
            if self.has_ended:
                return False
            self._publish_surely(JobState.RELEASED, settled, {"message": message})
            return True

    def abandon(self) -> None:
        """Publish nothing more of the job, whatever its handler does."""
        with self._lock:
            self._state, self._pending = JobState.RELEASED, None

    def _publish_surely(self, state: JobState, settled: Settled, facts: dict[str, Any]) -> None:
        with self._lock:
            self._publish_unsent()  # the last progress comes before the terminal event
            self._publish_lines()
            if self._is_checkpoint_unsent and state in TERMINAL:  # RELEASED has it
                self._publish_running()
            value = self._next_event(state, facts)
            pending = self._pending = PendingEvent(state, value, self.request, settled, self.access)
            if self.may_publish():
                self._send_pending(pending)

    def _send_pending(self, pending: PendingEvent) -> None:
        pending.due = math.inf
        self._send(pending.value, pending.delivered)

    def _next_event(self, state: JobState, facts: dict[str, Any]) -> bytes:
        sequence, self._state = self.sequence, state
        self.sequence += 1
        self._last_sent = time.monotonic()
        if facts.get("message") is not None:
            facts = {**facts, "message": one_line(facts["message"])}
        if self.checkpoint is not None and state not in TERMINAL:
            attributes = {**facts.get("attributes", {}), **with_checkpoint(self.checkpoint)}
            facts = {**facts, "attributes": attributes}
            if self._is_checkpoint_unsent:
                self._is_checkpoint_unsent, self._last_checkpoint = False, self._last_sent
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
        """Publish progress, with a message: now or shortly, at most twice a second.

        The latest values win. What no event can carry is dropped, and logged once for each job.
        """
        progress = report_values.progress(completed, total, unit, self.complain)
        self._report(
            progress, None if message is None else report_values.message(message, self.complain)
        )

    def message(self, text: object) -> None:
        """Publish a line for the task's log: now or shortly, at most twice a second."""
        self._report(None, report_values.message(text, self.complain))

    def _report(self, progress: Progress | None, message: str | None) -> None:
        with self._lock:
            before = self._unsent or (None, None)
            self._unsent = (progress or before[0], message or before[1])
            if self._is_progress_due():
                self._publish_unsent()

    def set_external_id(self, name: str) -> None:
        """Publish what the system that does the work calls the job.

        :raises InvalidMessage: the name is not text
        """
        name = report_values.external_id(name, self.complain)
        with self._lock:
            self.external_id = name
            self._publish_running()

    def save_checkpoint(self, text: str) -> None:
        """Publish a checkpoint: now or shortly, at most four times a second; the latest wins."""
        with self._lock:
            if text == self.checkpoint:
                return
            self.checkpoint, self._is_checkpoint_unsent = text, True
            if self._is_checkpoint_due():
                self._publish_running()

    def _is_checkpoint_due(self) -> bool:
        return time.monotonic() - self._last_checkpoint >= CHECKPOINT_SECONDS

    def complain(self, field: str, fault: str) -> None:
        """Log what was dropped or cut; once for each field of a job, since it comes in loops."""
        if field not in self._complaints:
            self._complaints |= {field}
            _log.warning("Job %s: %s", self, fault, extra=job_fields(self.request))

    def __str__(self) -> str:
        return f"{self.request.correlation_id} ({self.request.job_type})"

    def publish_message(self, message: str) -> None:
        """Publish a line for the task's log at once, after those that the job has logged."""
        with self._lock:
            self._publish_lines()
            self._publish_running(message=message)

    def tick(self) -> None:
        """Publish what is due: an event that must arrive, delayed reports, or a heartbeat."""
        if not self.may_publish():
            return
        interval = self.request.heartbeat_interval_ms / 1000
        with self._lock:
            if self._pending is not None and not self._pending.is_settled:
                if self._pending.due <= time.monotonic():
                    self._send_pending(self._pending)
                return
            if self._unsent is not None and self._is_progress_due():
                self._publish_unsent()
                return
            if self._is_checkpoint_unsent and self._is_checkpoint_due():
                self._publish_running()
                return
            if self.lines is not None and time.monotonic() - self._last_lines >= LOG_SECONDS:
                self._publish_lines()
            silence = time.monotonic() - self._last_sent
            if interval and self._state is not None and silence >= interval * HEARTBEAT_SHARE:
                self._publish_running(message=self.note)

    def _is_progress_due(self) -> bool:
        """Tell whether progress may be published; heartbeats do not delay it."""
        return time.monotonic() - self._last_progress >= PROGRESS_SECONDS

    def _publish_unsent(self) -> None:
        if self._unsent is not None and self.may_publish():
            progress, message = self._unsent
            self._unsent, self._last_progress = None, time.monotonic()
            self._publish_running(progress=progress, message=message)

    def _publish_lines(self) -> None:
        """Publish what the job has logged since the last time, in one event."""
        lines = self.lines
        if lines is None or not lines.has_lines or not self._may_report():
            return
        self._last_lines = time.monotonic()
        logged = lines.drain()
        self._publish_running(message=summary(logged), attributes=log_attributes(logged))

    def _may_report(self) -> bool:
        return may_follow(self._state, JobState.RUNNING) and self.may_publish()

    def _publish_running(self, **facts: Any) -> None:
        """Publish an event that needs no acknowledgement; after the terminal event, nothing."""
        if self._may_report():
            has_facts = any(each is not None for each in facts.values())
            sent = partial(self._running_sent, self.checkpoint, has_facts)
            self._send(self._next_event(JobState.RUNNING, facts), sent)

    def _running_sent(
        self, checkpoint: str | None, has_facts: bool, error: Exception | None
    ) -> None:
        """Leave out what was too large. Other failures cost nothing: a heartbeat comes soon."""
        if not isinstance(error, RecordTooLarge):
            return
        with self._lock:
            if has_facts:
                self.complain("report", f"a message, or lines of its log, are lost: {error}")
                if checkpoint is not None:
                    self._publish_running()  # perhaps it is not too large without them
            elif checkpoint is not None and checkpoint == self.checkpoint:
                self.checkpoint = None
                self.complain("checkpoint", f"its checkpoint was not saved: {error}")
