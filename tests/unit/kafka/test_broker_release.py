"""The release of a broker, from the answers of a stand-in on loopback."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kafka_bridge.kafka.broker_release import broker_release


def feature(name: bytes, level: int) -> bytes:
    """Return a supported feature."""
    return bytes([len(name) + 1]) + name + struct.pack(">hh", 1, level) + b"\0"


def answer(*features: bytes, error: int = 0) -> bytes:
    """Return an answer to ApiVersions, version 3, with two requests and these features."""
    apis = b"\x03" + 2 * (struct.pack(">hhh", 0, 0, 9) + b"\0")
    supported = bytes([len(features) + 1]) + b"".join(features)
    # Tag 2 (finalized features) may stand before tag 0.
    tags = b"\x02" + b"\x02\x01\x01" + b"\0" + bytes([len(supported)]) + supported
    body = struct.pack(">ih", 1, error) + apis + struct.pack(">i", 0) + tags
    return struct.pack(">i", len(body)) + body


@pytest.fixture
def release_of() -> Iterator[Any]:
    """Give a function that asks a stand-in that answers with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def ask(data: bytes) -> str | None:
            def serve() -> None:
                connection, _ = server.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(data)

            thread = threading.Thread(target=serve)
            thread.start()
            try:
                address = f"127.0.0.1:{server.getsockname()[1]}"
                return broker_release({"bootstrap.servers": address})
            finally:
                thread.join()

        yield ask


@pytest.mark.parametrize(
    ("level", "release"),
    [
        (6, None),
        (7, "3.3"),
        (14, "3.6"),
        (21, "3.9"),
        (25, "4.0"),
        (29, "4.2"),
        (99, "4.4 or newer"),
    ],
)
def test_release_belongs_to_the_highest_metadata_version(
    release_of: Any, level: int, release: str | None
) -> None:
    """Other features are passed by."""
    features = (feature(b"group.version", 1), feature(b"metadata.version", level))
    assert release_of(answer(*features)) == release


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        answer(feature(b"group.version", 1)),
        answer(feature(b"metadata.version", 29), error=35),
        answer(feature(b"metadata.version", 29))[:-4],
        struct.pack(">i", 40) + b"\0" * 40,
        struct.pack(">i", 40) + b"\0" * 6 + b"\xff" * 34,
        struct.pack(">i", -1),
    ],
)
def test_other_answers_tell_nothing(release_of: Any, data: bytes) -> None:
    """An old broker, something else that listens, or a hostile one."""
    assert release_of(data) is None
