"""A record that the code under test has sent."""

from __future__ import annotations

from dataclasses import dataclass

from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.headers import Headers
from kafka_bridge.protocol.plain_data import M


@dataclass(frozen=True, slots=True)
class SentRecord:
    """One record as it was handed to a producer."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers

    def decode(self, message_type: type[M]) -> M:
        """Return the protocol message in the record's value.

        :raises RemoteProtocolError: the value is not such a message
        """
        return decode(message_type, self.value)
