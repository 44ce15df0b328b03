"""A job that was published, as a small JSON value that any task can wait for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.ids import is_correlation_id
from kafka_bridge.protocol.media_types import from_json


@dataclass(frozen=True, slots=True)
class JobHandle:
    """All that one needs to wait for a job.

    ``attempt`` counts the submissions of the task that published it. ``start_offsets`` say by
    partition where the response topic ended before that; ``submitted_at`` is when it was, seconds
    since 1970; ``reply`` is how the service answers.
    """

    correlation_id: str
    attempt: int
    job_type: str
    kafka_config_id: str
    request_topic: str
    response_topic: str
    start_offsets: list[int]
    submitted_at: float
    reply: str

    def to_json(self) -> dict[str, Any]:
        """Return what XCom holds."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Return the handle that an XCom holds, as a dictionary or as JSON text.

        :raises ConfigurationError: it holds none
        """
        if isinstance(value, str):
            value = _parsed(value)
        names = {field.name for field in fields(cls)}
        if (
            not isinstance(value, Mapping)
            or names - value.keys()
            or not is_correlation_id(str(value["correlation_id"]))
        ):
            raise ConfigurationError(
                "job must be what KafkaJobPublishOperator returns, as it is, or as JSON text "
                f"(in a template: `| tojson`), not {value!r:.100}"
            )
        return cls(**{name: value[name] for name in names})


def _parsed(text: str) -> Any:
    try:
        return from_json(text.encode("utf-8"))
    except ValueError:
        return text
