"""The messages of the protocol: job requests, status events and job commands, as frozen values.

The fields, their order and their meaning are those of ``schemas/*.avsc``. Each type checks its
fields when it is created and raises :class:`InvalidMessage`, so every existing value can be sent.
Times have a time zone and whole milliseconds, the resolution of the encodings.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeAlias

from kafka_bridge.protocol.errors import InvalidMessage
from kafka_bridge.protocol.ids import is_correlation_id

INT_MAX = 2**31 - 1  # Avro int
LONG_MAX = 2**63 - 1  # Avro long

_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE | re.ASCII)


class JobState(StrEnum):
    """The state in a status event. ``UNKNOWN``: the job is alive, in a state of a later version."""

    UNKNOWN = "UNKNOWN"
    ACCEPTED = "ACCEPTED"
    RUNNING = "RUNNING"
    RELEASED = "RELEASED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class Command(StrEnum):
    """The command of a job command. ``UNKNOWN``: a command of a later version, ignored."""

    UNKNOWN = "UNKNOWN"
    CANCEL = "CANCEL"


class ErrorType(StrEnum):
    """Reserved values of ``JobFailure.type``. All others are the worker's own."""

    EXPIRED = "expired"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    UNKNOWN_JOB_TYPE = "unknown_job_type"
    UNREADABLE = "unreadable"
    INVALID_PAYLOAD = "invalid_payload"
    UNSUPPORTED_REFERENCE = "unsupported_reference"
    TOO_MANY_DELIVERIES = "too_many_deliveries"
    WORKER_LOST = "worker_lost"
    NO_PROGRESS = "no_progress"
    NOT_STARTED = "not_started"
    NOT_FINISHED = "not_finished"


def utc_now() -> datetime:
    """Return the current time in UTC, cut to whole milliseconds."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def whole_milliseconds(moment: datetime) -> datetime:
    """Return ``moment`` in UTC, cut to whole milliseconds."""
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@dataclass(frozen=True, slots=True)
class Reference:
    """A claim check: data that is too large for Kafka and is stored elsewhere.

    ``sha256`` is the checksum of the data, 64 hexadecimal digits, which are stored in lower case;
    ``size`` is the number of bytes.
    """

    uri: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        _require_text(self, "uri")
        if not isinstance(self.sha256, str) or not _SHA256.fullmatch(self.sha256):
            raise InvalidMessage("Reference.sha256 must be 64 hexadecimal digits")
        object.__setattr__(self, "sha256", self.sha256.lower())
        _require_integer(self, "size", 0, LONG_MAX)


@dataclass(frozen=True, slots=True)
class Task:
    """The Airflow task that submitted the job. ``map_index`` is -1 if it is not mapped."""

    source: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    try_number: int = 1
    url: str | None = None

    def __post_init__(self) -> None:
        _require_integer(self, "map_index", -1, INT_MAX)
        _require_integer(self, "try_number", 0, INT_MAX)


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a job: ``completed`` of ``total`` (None: unknown), in ``unit``."""

    completed: float
    total: float | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        _require_number(self, "completed")
        if self.total is not None:
            _require_number(self, "total")


@dataclass(frozen=True, slots=True)
class JobFailure:
    """A worker's error: ``type`` is a short name, ``details`` often a traceback."""

    type: str
    message: str
    details: str | None = None
    retryable: bool = False

    def __post_init__(self) -> None:
        _require_text(self, "type")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """One job that Airflow submits.

    ``heartbeat_interval_ms`` is the longest time between two of its status events, in milliseconds;
    with 0 there are no heartbeats. ``payload`` and its media type, ``payload_type``, are either
    both None or both set.
    """

    correlation_id: str
    attempt: int = 1
    job_type: str
    payload: bytes | None = None
    payload_type: str | None = None
    payload_ref: Reference | None = None
    response_topic: str
    created_at: datetime
    expires_at: datetime | None = None
    deadline: datetime | None = None
    heartbeat_interval_ms: int = 10_000
    task: Task | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_correlation_id(self)
        _require_integer(self, "attempt", 1, INT_MAX)
        _require_text(self, "job_type")
        _require_text(self, "response_topic")
        _require_integer(self, "heartbeat_interval_ms", 0, INT_MAX)
        _require_pair(self, "payload", "payload_type")
        for name in ("created_at", "expires_at", "deadline"):
            _require_moment(self, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusEvent:
    """One event that a worker publishes about a job.

    ``delivery`` counts from 1 how often a worker has started the job; ``sequence`` counts from 0
    within one delivery. ``external_id`` is the job's id in the system that does the work.
    """

    correlation_id: str
    event_id: str
    delivery: int = 1
    sequence: int
    state: JobState
    occurred_at: datetime
    worker_id: str
    message: str | None = None
    progress: Progress | None = None
    external_id: str | None = None
    result: bytes | None = None
    result_type: str | None = None
    result_ref: Reference | None = None
    error: JobFailure | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_correlation_id(self)
        _require_text(self, "event_id")
        _require_integer(self, "delivery", 1, INT_MAX)
        _require_integer(self, "sequence", 0, LONG_MAX)
        _require_pair(self, "result", "result_type")
        _require_moment(self, "occurred_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCommand:
    """A command of Airflow or a person for the worker that has a job."""

    correlation_id: str
    command: Command
    reason: str | None = None
    issued_at: datetime
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_correlation_id(self)
        _require_moment(self, "issued_at")


Message: TypeAlias = JobRequest | StatusEvent | JobCommand


def _name(message: object, attribute: str) -> str:
    return f"{type(message).__name__}.{attribute}"


def _require_correlation_id(message: Message) -> None:
    value = message.correlation_id
    if not isinstance(value, str) or not is_correlation_id(value):
        raise InvalidMessage(
            f"{_name(message, 'correlation_id')} must be UUID text in lower case (36 characters), "
            f"not {value!r:.60}"
        )


def _require_text(message: object, attribute: str) -> None:
    value = getattr(message, attribute)
    if not isinstance(value, str) or not value:
        raise InvalidMessage(f"{_name(message, attribute)} must be text, and must not be empty")


def _require_integer(message: object, attribute: str, low: int, high: int) -> None:
    value = getattr(message, attribute)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidMessage(
            f"{_name(message, attribute)} must be an integer in {low} … {high}, not {value!r:.60}"
        )


def _require_number(message: object, attribute: str) -> None:
    value = getattr(message, attribute)
    largest = sys.float_info.max
    if not isinstance(value, int | float) or not -largest <= value <= largest:  # nor is NaN
        raise InvalidMessage(
            f"{_name(message, attribute)} must be a finite int or float, not {value!r:.60}"
        )


def _require_pair(message: object, data: str, media_type: str) -> None:
    if (getattr(message, data) is None) != (getattr(message, media_type) is None):
        raise InvalidMessage(
            f"{_name(message, data)} and {_name(message, media_type)} go together: "
            "set both or neither"
        )


def _require_moment(message: object, attribute: str) -> None:
    moment: datetime | None = getattr(message, attribute)
    if moment is None:
        return
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidMessage(f"{_name(message, attribute)} must be a datetime with a time zone")
    if moment.microsecond % 1000:
        raise InvalidMessage(f"{_name(message, attribute)} must be whole milliseconds")
