"""Read a response record's job and the head of its event, without decoding the rest.

The key of our workers' records is the correlation id. A service that answers as Spring's or
NestJS's request-reply does may leave the key out, or use a key of its own; it repeats the id in a
header.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import TypeAlias, TypeVar

from kafka_bridge.protocol.event_head import EventHead, read_head
from kafka_bridge.protocol.headers import CORRELATION_ID, RawHeaders
from kafka_bridge.protocol.ids import CORRELATION_ID_LENGTH
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.protocol.plain_replies import NEST_ERROR

R = TypeVar("R")

HeadReader: TypeAlias = Callable[[bytes | None, RawHeaders | None], EventHead]
"""Reads a head from a record's value and headers; raises :class:`RemoteProtocolError` where there
is none."""

_ANSWERED = EventHead(delivery=1, state=JobState.SUCCEEDED)
_FAILED = EventHead(delivery=1, state=JobState.FAILED)


def event_head(value: bytes | None, _: RawHeaders | None) -> EventHead:
    """Return the head of a status event.

    :raises RemoteProtocolError: the record holds no status event
    """
    return read_head(value)


def plain_head(value: bytes | None, headers: RawHeaders | None) -> EventHead:
    """Return what a plain reply, of a service that knows no status events, says of its job.

    Whatever comes is the job's end: its result, or a failure where NestJS says so. (Spring marks
    failures in no way.)
    """
    if value is None and NEST_ERROR in dict(headers or ()):
        return _FAILED
    return _ANSWERED


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


def id_in_headers(headers: RawHeaders | None) -> bytes | None:
    """Return the correlation id in a record's headers, or None; of several the last counts."""
    return dict(headers).get(CORRELATION_ID) if headers else None
