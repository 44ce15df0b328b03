"""Puts the records of the three kinds of topics into a book, whatever their bytes are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.kafka.records import Received
from kafka_bridge.monitor.book import JobBook
from kafka_bridge.monitor.plain_services import plain_request_of, reply_of
from kafka_bridge.protocol.errors import RecordLocation, RemoteProtocolError
from kafka_bridge.protocol.event_head import EventHead, read_head
from kafka_bridge.protocol.ids import correlation_id_from_key
from kafka_bridge.protocol.messages import JobCommand, JobRequest, JobState, StatusEvent

_log = bounded_logger(__name__)

MOST_TOPICS = 100
"""How many response topics that requests name are followed: any client may write requests."""
FIRST_EVENTS = 4
"""How many events of a job are never left out: ACCEPTED, and some with its first progress."""


class TopicKind(StrEnum):
    """What the records of a topic are."""

    REQUESTS = "requests"
    RESPONSES = "responses"
    CONTROL = "control"


class Intake:
    """Decodes records and puts them into a book. For one thread.

    :ivar undecodable: by topic, how many records are not what they should be
    :ivar response_topics: the response topics that requests name, in the order of their appearance
    """

    def __init__(self, book: JobBook) -> None:
        self._book = book
        self.undecodable: Counter[str] = Counter()
        self.response_topics: dict[str, None] = {}

    def take(self, kind: TopicKind, topic: str, records: Sequence[Received]) -> None:
        """Take records of a topic, those of a partition in their order."""
        match kind:
            case TopicKind.REQUESTS:
                take = self._take_request
            case TopicKind.RESPONSES:
                take = self._take_response
                records = _without_replaced(records)
            case TopicKind.CONTROL:
                take = self._take_command
        for record in records:
            try:
                take(record, RecordLocation(topic, record.partition, record.offset))
            except RemoteProtocolError as error:
                self.undecodable[topic] += 1
                _log.debug("Skipped a record of topic %s: %s", topic, error)

    def _take_request(self, record: Received, location: RecordLocation) -> None:
        if record.value is None:
            return
        try:
            request = record.decode(JobRequest)
        except RemoteProtocolError:
            plain = plain_request_of(record, location)
            if plain is None:
                raise
            job, view = plain
            self._book.take_plain_request(job, view)
            self._note_response_topic(view.response_topic)
        else:
            self._book.take_request(request, location)
            self._note_response_topic(request.response_topic)

    def _note_response_topic(self, topic: str) -> None:
        if len(self.response_topics) < MOST_TOPICS:
            self.response_topics[topic] = None

    def _take_response(self, record: Received, location: RecordLocation) -> None:
        try:
            event = record.decode(StatusEvent)
        except RemoteProtocolError:
            reply = reply_of(record)
            is_plain = reply is not None and self._book.take_reply(reply, location)
            if not is_plain and record.value is not None:  # without a value it is a tombstone
                raise
        else:
            self._book.take_event(event, location)

    def _take_command(self, record: Received, location: RecordLocation) -> None:  # noqa: ARG002
        if record.value is not None:
            self._book.take_command(record.decode(JobCommand))


def _without_replaced(records: Sequence[Received]) -> list[Received]:
    """Leave out RUNNING events that later events of the same job replace anyway.

    Heartbeats and progress are most of a topic, and decoding one takes 40 times as long as this.
    The first ones of each job stay: its rate is computed from them.
    """
    left = Counter(record.key for record in records)
    highest: dict[bytes | None, int] = {}
    kept = []
    for record in reversed(records):
        left[record.key] -= 1
        head = _head_of(record)
        if head is not None:
            is_replaced = highest.get(record.key, 0) >= head.delivery
            highest[record.key] = max(head.delivery, highest.get(record.key, 0))
            if is_replaced and head.state is JobState.RUNNING and left[record.key] >= FIRST_EVENTS:
                continue
        kept.append(record)
    return kept[::-1]


def _head_of(record: Received) -> EventHead | None:
    """Return the head of a status event whose key is its job, or None if the record is no such."""
    if correlation_id_from_key(record.key) is None:
        return None
    try:
        return read_head(record.value)
    except RemoteProtocolError:
        return None
