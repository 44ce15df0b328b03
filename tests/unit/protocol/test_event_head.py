"""The head of an event, read in place, is the one that decoding the whole event gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_bridge.protocol.codec import decode, encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.event_head import EventHead, read_head
from kafka_bridge.protocol.messages import StatusEvent

from .samples import EVENT, REQUEST
from .strategies import repeatable, status_events


@repeatable
@given(status_events(), st.sampled_from([Encoding.AVRO, Encoding.JSON]))
def test_head_equals_that_of_the_decoded_event(event: StatusEvent, encoding: Encoding) -> None:
    """For every valid event, in either encoding, delivery and state are the event's own."""
    assert read_head(encode(event, encoding)) == EventHead(event.delivery, event.state)


@repeatable
@given(st.integers(0, len(encode(EVENT)) - 1), st.integers(0, 255))
def test_damage_is_an_error_or_what_the_bytes_say(at: int, byte: int) -> None:
    """With any one byte changed, the head is the decoder's, or the damage lies behind it."""
    value = bytearray(encode(EVENT))
    value[at] = byte
    try:
        head = read_head(bytes(value))
    except RemoteProtocolError:
        with pytest.raises(RemoteProtocolError):
            decode(StatusEvent, bytes(value))
        return
    try:
        whole = decode(StatusEvent, bytes(value))
    except RemoteProtocolError:
        return  # the damage lies behind the head, or in a text within it
    assert head == EventHead(whole.delivery, whole.state)


@pytest.mark.parametrize(
    "value", [None, b"", b"junk", b"\xc3\x01" + b"\xff" * 60, encode(REQUEST), encode(EVENT)[:40]]
)
def test_what_is_no_event_is_an_error(value: bytes | None) -> None:
    """Whatever is no status event raises what decoding it raises."""
    with pytest.raises(RemoteProtocolError):
        read_head(value)
