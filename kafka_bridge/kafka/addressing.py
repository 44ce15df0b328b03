"""For which job a record is: its key says so, or else a header.

Our workers' keys are correlation ids. A service that answers as Spring's or NestJS's request-reply
does may leave the key out, or use one of its own; it repeats the id in a header.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from operator import methodcaller
from typing import TypeVar

import confluent_kafka as ck

from kafka_bridge.kafka.records import headers_of
from kafka_bridge.protocol.headers import CORRELATION_ID, Headers
from kafka_bridge.protocol.ids import CORRELATION_ID_LENGTH

J = TypeVar("J")
R = TypeVar("R")


def candidates(
    records: Iterable[R], key_of: Callable[[R], bytes | None], jobs: Container[bytes | None]
) -> list[R]:
    """Return the records that may be for one of these jobs.

    All others have the correlation id of another job as their key; of those, nothing but the key is
    looked at.
    """
    return [
        each
        for each in records
        if (key := key_of(each)) in jobs or key is None or len(key) != CORRELATION_ID_LENGTH
    ]


def id_in_headers(headers: Headers | None) -> bytes | None:
    """Return the correlation id in a record's headers, or None; of several the last counts."""
    return dict(headers).get(CORRELATION_ID) if headers else None


def addressed(
    messages: Iterable[ck.Message], jobs: Mapping[bytes | None, J]
) -> Iterator[tuple[ck.Message, J]]:
    """Yield each message that is for one of these jobs, and that job."""
    for message in candidates(messages, methodcaller("key"), jobs):
        job = jobs.get(message.key())
        if job is None:
            job = jobs.get(id_in_headers(headers_of(message)))
        if job is not None:
            yield message, job
