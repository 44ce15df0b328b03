"""The handle of a published job: a small JSON value with which any task can wait for the job."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.ids import is_correlation_id
from kafka_bridge.protocol.media_types import from_json


class JobHandle(NamedTuple):
    """Everything that is needed to wait for a job.

    ``attempt`` counts the submissions of the task that published the job, and ``try_number`` is
    Airflow's at that submission. ``start_offsets`` are, by partition, the ends of the response
    topic before it. ``submitted_at`` is the time of the publish, in seconds since 1970. ``reply``
    is ``"events"`` or ``"plain"``. ``request_partition`` and ``request_offset`` are the place of
    the request in its topic. ``first_submitted_at`` is the time of the first submission since the
    task was cleared, or began. All three are None in the handles of earlier versions.
    """

    correlation_id: str
    attempt: int
    try_number: int
    job_type: str
    kafka_config_id: str
    request_topic: str
    response_topic: str
    start_offsets: list[int]
    submitted_at: float
    reply: str
    request_partition: int | None = None
    request_offset: int | None = None
    first_submitted_at: float | None = None

    @property
    def limited_since(self) -> float:
        """From when on ``schedule_to_close_timeout`` counts, in seconds since 1970."""
        return self.submitted_at if self.first_submitted_at is None else self.first_submitted_at

    def closes_at(self, schedule_to_close_timeout: float | None) -> float:
        """Return when that timeout passes, in seconds since 1970; infinite without one."""
        limit = schedule_to_close_timeout
        return math.inf if limit is None else self.limited_since + limit

    def to_json(self) -> dict[str, Any]:
        """Return the value of the XCom."""
        return self._asdict()

    def described(self) -> dict[str, Any]:
        """Return the facts for the rendered view and the link: plain JSON."""
        submitted_at = datetime.fromtimestamp(self.submitted_at, UTC)
        return {
            "correlation_id": self.correlation_id,
            "attempt": self.attempt,
            "job_type": self.job_type,
            "request_topic": self.request_topic,
            "response_topic": self.response_topic,
            "submitted_at": submitted_at.isoformat(timespec="seconds"),
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Return the handle of an XCom: a dictionary, or JSON text.

        :raises ConfigurationError: the value is not a handle
        """
        if isinstance(value, str):
            value = _parsed(value)
        required = set(cls._fields) - cls._field_defaults.keys()
        if (
            not isinstance(value, Mapping)
            or required - value.keys()
            or not is_correlation_id(str(value["correlation_id"]))
        ):
            raise ConfigurationError(
                "job must be what KafkaJobPublishOperator returns, as it is, or as JSON text "
                f"(in a template: `| tojson`), not {value!r:.100}"
            )
        return cls(**{name: value[name] for name in cls._fields if name in value})


def _parsed(text: str) -> Any:
    try:
        return from_json(text.encode("utf-8"))
    except ValueError:
        return text
