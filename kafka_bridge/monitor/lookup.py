"""Read everything that Kafka holds of one job: its request, its events and its CANCELs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.job_events import JobEventScan, with_skew
from kafka_bridge.kafka.records import Received
from kafka_bridge.monitor.jobs import JobView
from kafka_bridge.monitor.plain_services import plain_request_of, reply_of
from kafka_bridge.monitor.reading import ANSWER_SECONDS, MonitoredTopics
from kafka_bridge.monitor.transitions import (
    cancel_view,
    request_view,
    with_cancel,
    with_event,
    with_request,
)
from kafka_bridge.protocol.errors import KafkaError, RecordLocation, RemoteProtocolError
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import Command, JobCommand, JobRequest, StatusEvent


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """An event of a job. ``is_stale``: it changed nothing, by the lifecycle of the protocol."""

    event: StatusEvent
    location: RecordLocation
    is_stale: bool


@dataclass(slots=True)
class JobTimeline:
    """Everything that Kafka holds of one job.

    :ivar job: what is known of it
    :ivar request: its request, if that is of the protocol
    :ivar payload: the bytes of the request's payload, if it has one
    :ivar payload_type: their media type; None for a plain request, which does not say it
    :ivar events: its events, in the order in which they came
    :ivar unreadable: its records that cannot be decoded, with the reasons
    :ivar failures: by topic, why it could not be read
    """

    job: JobView
    request: JobRequest | None = None
    payload: bytes | None = None
    payload_type: str | None = None
    events: list[TimelineEvent] = field(default_factory=list)
    unreadable: list[RemoteProtocolError] = field(default_factory=list)
    failures: dict[str, KafkaError] = field(default_factory=dict)

    @property
    def end(self) -> StatusEvent | None:
        """The terminal event that counts, with the result or the whole error."""
        ends = (each.event for each in self.events if not each.is_stale)
        return next((event for event in ends if event.state in TERMINAL), None)


def read_job(
    config: KafkaConfig,
    correlation_id: str,
    topics: MonitoredTopics,
    since: datetime | None = None,
    *,
    timeout: float = ANSWER_SECONDS,
) -> JobTimeline | None:
    """Return what Kafka holds of a job, or None if it holds nothing.

    Of the records of other jobs, only the key is read. A topic that cannot be read is no error.

    :param topics: where to look. If a request names its response topic, only that one is read
    :param since: records before this time are not read; None: the topics are read from their
        beginning
    :param timeout: the longest silence of the brokers, seconds
    """
    reading = _JobReading(config, correlation_id, timeout)
    reading.read(topics, since)
    return reading.timeline if reading.has_found else None


class _JobReading:
    def __init__(self, config: KafkaConfig, job: str, timeout: float) -> None:
        self._config = config
        self._key = job.encode()
        self._timeout = timeout
        self.timeline = JobTimeline(JobView(correlation_id=job))
        self.has_found = False

    def read(self, topics: MonitoredTopics, since: datetime | None) -> None:
        for topic in topics.requests:
            self._read(topic, since, self._take_request)
        request = self.timeline.job.request
        since = request.requested_at if request else since
        for topic in [request.response_topic] if request else topics.responses:
            self._read(topic, since, self._take_response)
        self._read(topics.control, since, self._take_command)

    def _read(
        self, topic: str, since: datetime | None, take: Callable[[Received, RecordLocation], None]
    ) -> None:
        """Take the job's records of a topic."""
        start = () if since is None else with_skew(since)
        scan = JobEventScan(self._config, topic, start, self._timeout)
        try:
            for _, _, message in scan.events_of({self._key: self._key}):
                record = Received(message)
                if record.value is None and not record.headers:
                    continue  # a tombstone
                self.has_found = True
                take(record, RecordLocation(topic, record.partition, record.offset))
        except KafkaError as error:
            self.timeline.failures[topic] = error

    def _take_request(self, record: Received, location: RecordLocation) -> None:
        found, request = self.timeline, None
        try:
            request = record.decode(JobRequest)
            view = request_view(request, location)
        except RemoteProtocolError as error:
            plain = plain_request_of(record, location)
            if plain is None:
                found.unreadable.append(error)
                return
            view = plain[1]
        before, found.job = found.job, with_request(found.job, view)
        if found.job is not before:  # else it is a replay
            found.request = request
            found.payload = request.payload if request else record.value
            found.payload_type = request.payload_type if request else None

    def _take_response(self, record: Received, location: RecordLocation) -> None:
        found = self.timeline
        try:
            event = record.decode(StatusEvent)
        except RemoteProtocolError as error:
            is_plain = found.job.request is not None and found.job.request.is_plain
            reply = reply_of(record) if is_plain else None
            if reply is None:
                found.unreadable.append(error)
                return
            event = reply
        changed = with_event(found.job, event, event.occurred_at, location)
        found.events.append(TimelineEvent(event, location, is_stale=changed is None))
        found.job = changed or found.job

    def _take_command(self, record: Received, _: RecordLocation) -> None:
        try:
            command = record.decode(JobCommand)
        except RemoteProtocolError as error:
            self.timeline.unreadable.append(error)
        else:
            if command.command is Command.CANCEL:
                self.timeline.job = with_cancel(self.timeline.job, cancel_view(command))
