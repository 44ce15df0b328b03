"""Ask a broker for its release.

The protocol has no request for it. But a broker lists the features that it supports to every
client, before a login (ApiVersions, KIP-584), and the highest ``metadata.version`` among them
belongs to a release. librdkafka does not show it, so a connection of our own asks.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any

from kafka_bridge.kafka.sockets import addresses, connected, received, tls_context

API_VERSIONS, VERSION = 18, 3
MOST_BYTES = 100_000
FEATURE = "metadata.version"
RELEASES = (
    (7, "3.3"),
    (8, "3.4"),
    (9, "3.5"),
    (12, "3.6"),
    (15, "3.7"),
    (20, "3.8"),
    (21, "3.9"),
    (22, "4.0"),
    (26, "4.1"),
    (28, "4.2"),
    (30, "4.3"),
    (31, "4.4 or newer"),
)
"""The first ``metadata.version`` of each release (Kafka's MetadataVersion.java)."""


def broker_release(settings: Mapping[str, Any]) -> str | None:
    """Return the release of the first bootstrap server that tells it: ``4.2``.

    None if none does: it is older than 3.3 or uses ZooKeeper, or its listener wants a client's
    certificate first.

    :param settings: the properties of a client
    """
    is_tls = "SSL" in str(settings.get("security.protocol", "")).upper()
    context = tls_context(check=False) if is_tls else None
    for host, port in addresses(str(settings["bootstrap.servers"])):
        try:
            with connected(host, port, context) as connection:
                connection.sendall(_question())
                size = _Reader(received(connection, 4)).number(">i")
                if 0 < size <= MOST_BYTES:
                    level = _level(_Reader(received(connection, size)))
                    if level is not None:
                        return _release(level)
        except (OSError, ValueError):
            continue
    return None


def _release(level: int) -> str | None:
    at = bisect_right(RELEASES, level, key=lambda each: each[0])
    return RELEASES[at - 1][1] if at else None


def _question() -> bytes:
    client = b"kafka-bridge"
    header = struct.pack(">hhih", API_VERSIONS, VERSION, 1, len(client)) + client + b"\0"
    name = bytes([len(client) + 1]) + client
    body = header + name + b"\x020" + b"\0"  # the version of the client, "0", and no tags
    return struct.pack(">i", len(body)) + body


class _Reader:
    """Reads the fields of an answer in turn."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if size < 0 or len(part) < size:
            raise ValueError("the answer is too short")
        self._at += size
        return part

    def number(self, form: str) -> int:
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def tags(self) -> Iterator[tuple[int, bytes]]:
        for _ in range(self.varint()):
            yield self.varint(), self.take(self.varint())


def _level(answer: _Reader) -> int | None:
    """Return the highest ``metadata.version`` that an ApiVersions answer lists."""
    answer.take(4)  # the correlation id
    if answer.number(">h") != 0:  # an old broker answers with an older version of this request
        return None
    for _ in range(answer.varint() - 1):
        answer.take(6)  # a request, and the versions that the broker supports of it
        list(answer.tags())
    answer.take(4)  # throttling
    return next((_highest(_Reader(data)) for tag, data in answer.tags() if tag == 0), None)


def _highest(features: _Reader) -> int | None:
    for _ in range(features.varint() - 1):
        name = features.take(features.varint() - 1)
        features.take(2)  # the lowest level
        level = features.number(">h")
        list(features.tags())
        if name == FEATURE.encode():
            return level
    return None
