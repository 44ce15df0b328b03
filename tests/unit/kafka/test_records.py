"""Kafka's records as values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from kafka_bridge.kafka.records import Record


def test_headers_that_the_client_cannot_give_are_none() -> None:
    """A header's name that is no UTF-8 costs the headers, not the process that reads the record."""

    def headers() -> None:
        raise SystemError("returned a result with an exception set")  # as confluent_kafka 2.16 does

    replaced: list[list[object]] = []
    message: Any = SimpleNamespace(
        topic=lambda: "t",
        partition=lambda: 0,
        offset=lambda: 7,
        key=lambda: b"k",
        value=lambda: b"v",
        headers=headers,
        set_headers=replaced.append,
        timestamp=lambda: (1, 1000),
    )
    record = Record.of(message)
    assert (record.key, record.value, record.headers) == (b"k", b"v", [])
    assert replaced == [[]]
