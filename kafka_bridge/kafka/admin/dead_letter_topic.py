"""Read the dead-letter topic for the people who look after it."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.kafka.offsets import read_record
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.errors import (
    ConfigurationError,
    RecordGone,
    RecordLocation,
    RemoteProtocolError,
)
from kafka_bridge.protocol.headers import (
    REPLY_TOPIC,
    DeadLetterHeaders,
    Headers,
    read_dead_letter_headers,
    text_header,
    without_dead_letter_headers,
)
from kafka_bridge.protocol.ids import correlation_id_from_key
from kafka_bridge.protocol.messages import JobRequest

ANSWER_SECONDS = 15.0
"""The longest silence of Kafka, seconds: a person waits for the answer."""

_LOCATION = re.compile(r"(?:([^\[\]]+)\[(\d{1,9})\]|(\d{1,9}))@(\d{1,18})")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of the dead-letter topic. ``request`` is None where the value cannot be read."""

    record: Record
    headers: DeadLetterHeaders
    request: JobRequest | None
    unreadable: str = ""

    @classmethod
    def of(cls, record: Record) -> DeadLetter:
        """Return a record as a dead letter, whatever its bytes."""
        headers = read_dead_letter_headers(record.headers)
        if record.value is None and headers.original is not None:
            return cls(
                record, headers, None, f"too large for a dead letter, is at {headers.original}"
            )
        try:
            return cls(record, headers, record.decode(JobRequest))
        except RemoteProtocolError as error:
            return cls(record, headers, None, error.reason)

    def restored(self, config: KafkaConfig) -> DeadLetter:
        """Return the letter with its value.

        A request that its new headers made too large for one record is stored without its value,
        which is in the original request.

        :raises RecordGone: it is not there any more
        :raises KafkaError: it cannot be read
        """
        original = self.headers.original
        if self.record.value is not None or original is None:
            return self
        record = read_record(config, original, ANSWER_SECONDS)
        if record.key != self.record.key:
            raise RecordGone(
                f"another record is at {original}: the topic was deleted and created again"
            )
        return DeadLetter.of(replace(self.record, value=record.value))

    @property
    def correlation_id(self) -> str | None:
        """The job, by the request or else by the record's key."""
        if self.request is not None:
            return self.request.correlation_id
        return correlation_id_from_key(self.record.key)

    @property
    def job_type(self) -> str | None:
        """The type of the job, where the request can be read."""
        return None if self.request is None else self.request.job_type

    @property
    def response_topic(self) -> str | None:
        """The topic for the job's events, from the request or else from the headers."""
        if self.request is not None:
            return self.request.response_topic
        return text_header(self.own_headers, REPLY_TOPIC)

    @property
    def own_headers(self) -> Headers:
        """The headers that the record had as a request."""
        return without_dead_letter_headers(self.record.headers)

    @property
    def requested_at(self) -> datetime | None:
        """When the job was created: the earliest time in the letter."""
        named = None if self.request is None else self.request.created_at
        times = (named, _moment(self.headers.timestamp_ms), self.dead_lettered_at)
        return min((each for each in times if each is not None), default=None)

    @property
    def dead_lettered_at(self) -> datetime | None:
        """When it became a dead letter: the record's own time."""
        return _moment(self.record.timestamp_ms)


def _moment(milliseconds: int | None) -> datetime | None:
    """Return a moment; None where it is missing or outside the calendar."""
    if milliseconds is None or milliseconds < 0:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters to show. ``limit``: at most this many, the newest."""

    since: datetime | None = None
    job_type: str | None = None
    correlation_id: str | None = None
    limit: int | None = None

    def includes(self, letter: DeadLetter) -> bool:
        """Return whether a letter is selected, apart from the limit."""
        at = letter.dead_lettered_at
        return (
            (self.job_type is None or letter.job_type == self.job_type)
            and (self.correlation_id is None or letter.correlation_id == self.correlation_id)
            and (self.since is None or at is None or at >= self.since)
        )


def read_dead_letters(config: KafkaConfig, topic: str, selection: Selection) -> list[DeadLetter]:
    """Return the selected dead letters of a topic, oldest first.

    :raises TopicNotFound: there is no such topic
    :raises AccessDenied: it may not be read
    :raises BrokerUnreachable: no broker answers
    """
    found = map(DeadLetter.of, _records(config, topic, selection.since or ()))
    chosen = filter(selection.includes, found)
    if selection.limit is not None:
        return sorted(heapq.nlargest(selection.limit, chosen, key=_age), key=_age)
    return sorted(chosen, key=_age)


def newest_dead_letters(
    config: KafkaConfig, topic: str, ends: Sequence[int], most: int
) -> Iterator[DeadLetter]:
    """Yield the last dead letters of each partition, in no order. One at a time is in memory.

    :param ends: by partition, where the topic ends
    :param most: how many of each partition
    :raises KafkaError: as in :func:`read_dead_letters`
    """
    yield from map(DeadLetter.of, _records(config, topic, [max(0, end - most) for end in ends]))


def dead_letter_at(config: KafkaConfig, place: RecordLocation) -> DeadLetter:
    """Return the dead letter at a place, without reading what is around it.

    :raises RecordGone: there is no record
    :raises KafkaError: as in :func:`read_dead_letters`
    """
    try:
        return DeadLetter.of(read_record(config, place, ANSWER_SECONDS))
    except RecordGone as error:
        raise RecordGone(f"there is no record at {place}") from error


def _age(letter: DeadLetter) -> tuple[int, int, int]:
    location = letter.record.location
    return letter.record.timestamp_ms, location.partition, location.offset


def parse_location(text: str, topic: str) -> RecordLocation:
    """Return the location that a person wrote: ``0@17``, or ``topic[0]@17`` as errors have it.

    :param topic: the topic of the short form
    :raises ConfigurationError: it is neither
    """
    match = _LOCATION.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"{text!r} is not the location of a record: write partition@offset, for example 0@17, "
            f"or {topic}[0]@17"
        )
    named, inside, partition, offset = match.groups()
    return RecordLocation(named or topic, int(inside or partition), int(offset))


def dead_letters_at(config: KafkaConfig, places: Sequence[RecordLocation]) -> list[DeadLetter]:
    """Return the dead letters at these places, in their order, each once.

    :raises RecordGone: there is no record at one of them
    :raises KafkaError: as in :func:`read_dead_letters`
    """
    found: dict[RecordLocation, DeadLetter] = {}
    for topic in {place.topic for place in places}:
        wanted = {place for place in places if place.topic == topic}
        found |= {each.record.location: each for each in _letters_in(config, topic, wanted)}
    return [found[place] for place in dict.fromkeys(places)]


def _letters_in(
    config: KafkaConfig, topic: str, wanted: set[RecordLocation]
) -> Iterator[DeadLetter]:
    missing, empty = set(wanted), True
    for record in _records(config, topic, ()):
        empty = False
        if record.location in missing:
            missing.remove(record.location)
            yield DeadLetter.of(record)
            if not missing:
                return
    if empty:
        raise RecordGone(f"topic {topic!r} is empty: it holds no dead letters")
    raise RecordGone(
        f"there is no record at {', '.join(sorted(map(str, missing)))}: "
        f"`kafka-bridge dead-letters list --topic {topic}` shows what is there"
    )


def _records(config: KafkaConfig, topic: str, start: datetime | Sequence[int]) -> Iterator[Record]:
    for batch in scan(config, topic, start, timeout=ANSWER_SECONDS):
        yield from map(Record.of, batch)
