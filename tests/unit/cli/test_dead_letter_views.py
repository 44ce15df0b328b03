"""A dead letter on a screen: whatever somebody wrote into it, it only shows."""

from __future__ import annotations

import json
import re

import pytest

from kafka_bridge.cli.dead_letter_views import print_json, print_letter, print_table
from kafka_bridge.kafka.admin.dead_letter_topic import DeadLetter
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import RecordLocation, Undecodable
from kafka_bridge.protocol.headers import dead_letter_headers
from kafka_bridge.protocol.messages import JobRequest, Task, utc_now

ACTS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
HOSTILE = "\x00\x1b[2J\r\n\u202e::group::\x9b31m"
JOB = "0d3b9a52-61f4-4c0e-9b7d-3f2a1c5e7d01"
REQUEST = JobRequest(
    correlation_id=JOB,
    job_type=f"a{HOSTILE}",
    response_topic=HOSTILE,
    created_at=utc_now(),
    payload=HOSTILE.encode(),
    payload_type=f"text/plain{HOSTILE}",
    task=Task(HOSTILE, HOSTILE, HOSTILE, HOSTILE, url=HOSTILE),
    attributes={HOSTILE: HOSTILE},
)


@pytest.mark.parametrize(
    "value",
    [encode(REQUEST), HOSTILE.encode(), b'{"job_type":"\\u0000\\ud800"}', b"\xc3\x01\x1b[2J"],
)
def test_content_of_a_dead_letter_cannot_control_the_terminal(
    capsys: pytest.CaptureFixture[str], value: bytes
) -> None:
    """Key, headers, value and the words of its error are cleaned, and none is endless."""
    headers = [
        (f"h{HOSTILE}", HOSTILE.encode() * 100_000),
        ("kafka_dlt-original-topic", HOSTILE.encode()),
        ("kafka_dlt-exception-fqcn", HOSTILE.encode()),
        ("kafka_dlt-exception-message", HOSTILE.encode() * 100_000),
    ]
    record = Record(
        RecordLocation("jobs.dead-letters", 0, 3),
        HOSTILE.encode(),
        value,
        headers,
        1_800_000_000_000,
    )
    letter = DeadLetter.of(record)
    print_letter(letter)
    print_table([letter])
    print_json([letter])
    shown = capsys.readouterr().out
    assert not ACTS.search(shown)
    assert "::group::" not in shown
    assert len(shown) < 100_000
    json.loads(shown.splitlines()[-1])


def test_place_of_an_unreadable_request_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Its error begins with the place, which is the origin already."""
    origin = RecordLocation("jobs.requests", 1, 41)
    headers = dead_letter_headers(origin, 0, Undecodable("not for us", origin))
    record = Record(RecordLocation("jobs.dead-letters", 0, 3), b"k", b"\x00\x01", headers, 0)
    letter = DeadLetter.of(record)
    print_table([letter])
    print_letter(letter)
    table, _, whole = capsys.readouterr().out.partition("Dead letter")
    for text in (table, whole):
        assert text.count("jobs.requests[1]@41") == 1
        assert "Undecodable: not for us" in text
