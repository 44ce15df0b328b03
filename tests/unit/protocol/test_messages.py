"""The messages check themselves: a value that exists follows the rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from kafka_bridge.protocol.errors import InvalidMessage
from kafka_bridge.protocol.messages import (
    JobCommand,
    JobFailure,
    JobRequest,
    Message,
    Progress,
    utc_now,
    whole_milliseconds,
)

from .samples import COMMAND, EVENT, FULL, JOB, NOW, REFERENCE, REQUEST, TASK

NAIVE = NOW.replace(tzinfo=None)
MICROSECONDS = NOW + timedelta(microseconds=1)
ID_RULE = "correlation_id must be UUID text in lower case (36 characters), not"
INT = "2147483647"
LONG = "9223372036854775807"

FORBIDDEN: list[tuple[Any, dict[str, Any], str]] = [
    (REQUEST, {"correlation_id": JOB.upper()}, f"JobRequest.{ID_RULE} '{JOB.upper()}'"),
    (EVENT, {"correlation_id": ""}, f"StatusEvent.{ID_RULE} ''"),
    (COMMAND, {"correlation_id": None}, f"JobCommand.{ID_RULE} None"),
    (COMMAND, {"correlation_id": "x" * 9999}, f"JobCommand.{ID_RULE} '{'x' * 59}"),
    (REQUEST, {"attempt": 0}, f"JobRequest.attempt must be an integer in 1 … {INT}, not 0"),
    (REQUEST, {"attempt": 2**31}, f"JobRequest.attempt must be an integer in 1 … {INT}, not 2"),
    (REQUEST, {"attempt": "1"}, f"JobRequest.attempt must be an integer in 1 … {INT}, not '1'"),
    (REQUEST, {"attempt": True}, f"JobRequest.attempt must be an integer in 1 … {INT}, not True"),
    (REQUEST, {"job_type": ""}, "JobRequest.job_type must be text, and must not be empty"),
    (REQUEST, {"job_type": b"a"}, "JobRequest.job_type must be text, and must not be empty"),
    (REQUEST, {"response_topic": ""}, "JobRequest.response_topic must be text, and must not be"),
    (
        REQUEST,
        {"heartbeat_interval_ms": -1},
        f"heartbeat_interval_ms must be an integer in 0 … {INT}",
    ),
    (REQUEST, {"payload": None}, "JobRequest.payload and JobRequest.payload_type go together"),
    (REQUEST, {"payload_type": None}, "payload_type go together: set both or neither"),
    (REQUEST, {"created_at": NAIVE}, "JobRequest.created_at must be a datetime with a time zone"),
    (REQUEST, {"created_at": 1.5}, "JobRequest.created_at must be a datetime with a time zone"),
    (REQUEST, {"created_at": MICROSECONDS}, "JobRequest.created_at must be whole milliseconds"),
    (REQUEST, {"expires_at": NAIVE}, "JobRequest.expires_at must be a datetime with a time zone"),
    (REQUEST, {"deadline": MICROSECONDS}, "JobRequest.deadline must be whole milliseconds"),
    (EVENT, {"event_id": ""}, "StatusEvent.event_id must be text, and must not be empty"),
    (EVENT, {"delivery": 0}, f"StatusEvent.delivery must be an integer in 1 … {INT}, not 0"),
    (EVENT, {"sequence": -1}, f"StatusEvent.sequence must be an integer in 0 … {LONG}, not -1"),
    (EVENT, {"sequence": 1.5}, f"StatusEvent.sequence must be an integer in 0 … {LONG}, not 1.5"),
    (EVENT, {"result": None}, "StatusEvent.result and StatusEvent.result_type go together"),
    (EVENT, {"occurred_at": NAIVE}, "StatusEvent.occurred_at must be a datetime with a time zone"),
    (COMMAND, {"issued_at": NAIVE}, "JobCommand.issued_at must be a datetime with a time zone"),
    (REFERENCE, {"uri": ""}, "Reference.uri must be text, and must not be empty"),
    (REFERENCE, {"sha256": "0a" * 31}, "Reference.sha256 must be 64 hexadecimal digits"),
    (REFERENCE, {"sha256": "xy" * 32}, "Reference.sha256 must be 64 hexadecimal digits"),
    (REFERENCE, {"sha256": "٣" * 64}, "Reference.sha256 must be 64 hexadecimal digits"),
    (REFERENCE, {"sha256": None}, "Reference.sha256 must be 64 hexadecimal digits"),
    (REFERENCE, {"size": -1}, f"Reference.size must be an integer in 0 … {LONG}, not -1"),
    (TASK, {"map_index": -2}, f"Task.map_index must be an integer in -1 … {INT}, not -2"),
    (TASK, {"try_number": -1}, f"Task.try_number must be an integer in 0 … {INT}, not -1"),
    (
        EVENT.progress,
        {"completed": float("nan")},
        "completed must be a finite int or float, not nan",
    ),
    (
        EVENT.progress,
        {"total": float("inf")},
        "Progress.total must be a finite int or float, not inf",
    ),
    (EVENT.progress, {"total": 10**400}, "Progress.total must be a finite int or float, not 1000"),
    (
        EVENT.progress,
        {"completed": "5"},
        "Progress.completed must be a finite int or float, not '5'",
    ),
    (EVENT.error, {"type": ""}, "JobFailure.type must be text, and must not be empty"),
]


@pytest.mark.parametrize(("valid", "changes", "words"), FORBIDDEN)
def test_forbidden_values_are_refused(valid: Any, changes: dict[str, Any], words: str) -> None:
    """A field that the protocol forbids is refused at once, by name, with what is allowed."""
    with pytest.raises(InvalidMessage) as refused:
        replace(valid, **changes)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("message", FULL, ids=lambda message: type(message).__name__)
def test_messages_cannot_be_changed(message: Message) -> None:
    """A message that was checked stays as it is."""
    with pytest.raises(FrozenInstanceError):
        message.correlation_id = "other"  # type: ignore[misc]


def test_hexadecimal_is_taken_in_either_case() -> None:
    """Some languages write digests in upper case; the same digest is the same value."""
    assert replace(REFERENCE, sha256="0A" * 32) == REFERENCE


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            lambda: JobRequest(
                correlation_id=JOB, job_type="a", response_topic="r", created_at=NOW
            ),
            {
                "attempt": 1,
                "payload": None,
                "payload_type": None,
                "expires_at": None,
                "heartbeat_interval_ms": 10_000,
                "task": None,
                "attributes": {},
            },
        ),
        (
            lambda: replace(EVENT, progress=Progress(0.0), error=JobFailure("a", "")),
            {
                "progress": Progress(0.0, None, None),
                "error": JobFailure("a", "", None, retryable=False),
            },
        ),
    ],
)
def test_defaults(make: Callable[[], Message], expected: dict[str, Any]) -> None:
    """What is left out is the protocol's default; a failure is not retryable unless it says so."""
    message = make()
    assert {name: getattr(message, name) for name in expected} == expected


def test_two_messages_share_no_attributes() -> None:
    """Each message has a map of its own."""
    first, second = (
        JobCommand(correlation_id=JOB, command=COMMAND.command, issued_at=NOW) for _ in range(2)
    )
    assert first.attributes is not second.attributes


def test_whole_milliseconds_cuts_and_converts() -> None:
    """Microseconds are cut, never rounded up, and the zone becomes UTC."""
    moment = datetime(2026, 3, 1, 14, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    cut = whole_milliseconds(moment)
    assert cut == datetime(2026, 3, 1, 12, 0, 0, 999_000, tzinfo=UTC)
    assert cut.tzinfo is UTC


def test_utc_now_can_be_sent() -> None:
    """The present time fits a message as it is."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    command = JobCommand(correlation_id=JOB, command=COMMAND.command, issued_at=utc_now())
    assert before <= command.issued_at <= datetime.now(UTC)
