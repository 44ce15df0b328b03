"""What a waiting job reads of its records as they arrive: just enough to know what they change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from kafka_bridge.protocol.event_head import EventHead, read_head
from kafka_bridge.protocol.headers import Headers
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.protocol.plain_replies import NEST_ERROR

HeadReader: TypeAlias = Callable[[bytes | None, Headers | None], EventHead]
"""Reads a head from a record's value and headers; raises :class:`RemoteProtocolError` where there
is none."""

_ANSWERED = EventHead(delivery=1, state=JobState.SUCCEEDED)
_FAILED = EventHead(delivery=1, state=JobState.FAILED)


def event_head(value: bytes | None, _: Headers | None) -> EventHead:
    """Return the head of a status event.

    :raises RemoteProtocolError: the record holds no status event
    """
    return read_head(value)


def plain_head(value: bytes | None, headers: Headers | None) -> EventHead:
    """Return what a plain reply, of a service that knows no status events, says of its job.

    Whatever comes is the job's end: its result, or a failure where NestJS says so. (Spring marks
    failures in no way.)
    """
    if value is None and NEST_ERROR in dict(headers or ()):
        return _FAILED
    return _ANSWERED
