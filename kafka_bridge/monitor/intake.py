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
from kafka_bridge.protocol.messages import JobCommand, JobRequest, StatusEvent

_log = bounded_logger(__name__)

MOST_TOPICS = 100
"""How many response topics that requests name are followed: any client may write requests."""


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
