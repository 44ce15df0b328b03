"""Kafka records as values, and decoded with the place that they came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import confluent_kafka as ck

from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.errors import RecordLocation, RemoteProtocolError
from kafka_bridge.protocol.headers import Headers
from kafka_bridge.protocol.plain_data import M
from kafka_bridge.protocol.sanitize import sanitized


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record. ``timestamp_ms`` is milliseconds since 1970, or -1 where it has none."""

    location: RecordLocation
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int

    @classmethod
    def of(cls, message: ck.Message) -> Record:
        """Return confluent_kafka's message as a record."""
        return cls(
            location_of(message),
            message.key(),
            message.value(),
            headers_of(message),
            message.timestamp()[1],
        )

    def decode(self, message_type: type[M]) -> M:
        """Return the message in the record's value, with texts that can be shown.

        :raises RemoteProtocolError: it holds none; the error names topic, partition and offset
        """
        return decode_at(message_type, self.value, self.location)


def headers_of(message: ck.Message) -> Headers:
    """Return a message's headers; none where one of their names is no UTF-8."""
    try:
        return cast(Headers, message.headers() or [])
    except (SystemError, UnicodeDecodeError):
        # A name in them is no UTF-8. Asked again, confluent_kafka would give a list with holes.
        message.set_headers([])
        return []


def decode_at(message_type: type[M], value: bytes | None, location: RecordLocation) -> M:
    """Return the message in a value that comes from this place, with texts that can be shown.

    :raises RemoteProtocolError: it holds none; the error names topic, partition and offset
    """
    try:
        return sanitized(decode(message_type, value))
    except RemoteProtocolError as error:
        raise error.at(location) from error


class Received:
    """A record as a consumer got it: what few need of it is looked at when it is asked for."""

    __slots__ = ("_message", "offset", "partition", "value")

    def __init__(self, message: ck.Message) -> None:
        self._message = message
        self.partition = cast(int, message.partition())
        self.offset = cast(int, message.offset())
        self.value = message.value()

    @property
    def key(self) -> bytes | None:
        """Its key."""
        return self._message.key()

    @property
    def timestamp_ms(self) -> int:
        """Its timestamp, milliseconds since 1970, or -1 where it has none."""
        return self._message.timestamp()[1]

    @property
    def headers(self) -> Headers:
        """Its headers; none where one of their names is no UTF-8."""
        return headers_of(self._message)

    @property
    def record(self) -> Record:
        """All of it."""
        return Record.of(self._message)

    def decode(self, message_type: type[M]) -> M:
        """Return the message in the record's value, with texts that can be shown.

        :raises RemoteProtocolError: it holds none; the error names topic, partition and offset
        """
        try:
            return sanitized(decode(message_type, self.value))
        except RemoteProtocolError as error:
            raise error.at(location_of(self._message)) from error


def location_of(message: ck.Message) -> RecordLocation:
    """Return where a message that Kafka has lies."""
    return RecordLocation(
        str(message.topic()), cast(int, message.partition()), cast(int, message.offset())
    )


def arrived(consumer: ck.Consumer, seconds: float, most: int) -> list[ck.Message]:
    """Return what has arrived, waiting up to so many seconds for the first of it.

    ``consume`` alone would wait for a full batch.

    :param most: how many messages are returned at the most
    """
    first = consumer.poll(seconds)
    return [] if first is None else [first, *consumer.consume(most - 1, 0)]
