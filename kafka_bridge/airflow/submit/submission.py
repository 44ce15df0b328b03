"""What a request tells the later tries of its task: a header of the request.

It is the only memory that a task has of its earlier tries. On a batch, only the first request of
each round has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self, TypeAlias

from kafka_bridge.protocol.headers import REPLY_TOPIC, SUBMISSION, Headers, text_header
from kafka_bridge.protocol.ids import is_correlation_id
from kafka_bridge.protocol.media_types import from_json, to_json

Life: TypeAlias = tuple[int, int]
"""The start of a DAG run (milliseconds since 1970) and a task's ``max_tries``. Together they stay
the same until somebody clears the task, or deletes the run: clearing a task raises its
``max_tries``, and a run that is cleared when it has finished, or created again, starts again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFacts:
    """What is known of a round of a batch.

    The ids of its ``count`` jobs follow from ``batch_id``. ``first`` is the attempt that submitted
    the first round of the same batch.
    """

    batch_id: str
    count: int
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One submission of a task's work.

    ``attempt`` counts the submissions of the task instance from 1. ``try_number`` and ``max_tries``
    are Airflow's. ``run_began`` is the start of the DAG run, and ``created_at`` when the request
    was made, both milliseconds since 1970. ``ends`` are, by partition, the ends of the response
    topic before the request was published: no event of the job has a lower offset.
    """

    attempt: int
    try_number: int
    max_tries: int
    run_began: int
    created_at: int
    ends: list[int]
    response_topic: str
    batch: BatchFacts | None = None

    @property
    def order(self) -> tuple[int, int, int, int]:
        """Later submissions of a task instance have a higher one, whatever the clocks say."""
        return self.run_began, self.try_number, self.attempt, self.created_at

    @property
    def life(self) -> Life:
        """The life of the task instance that it belongs to."""
        return self.run_began, self.max_tries

    def header(self) -> Headers:
        """Return the header of the request."""
        facts: dict[str, Any] = {
            "attempt": self.attempt,
            "try": self.try_number,
            "max_tries": self.max_tries,
            "run": self.run_began,
            "created": self.created_at,
            "ends": self.ends,
        }
        if self.batch is not None:
            facts["batch"] = [self.batch.batch_id, self.batch.count, self.batch.first]
        return [(SUBMISSION, to_json(facts))]

    @classmethod
    def of_headers(cls, headers: Headers) -> Self | None:
        """Return what the headers of a request say; None where they say nothing, or nonsense."""
        text = text_header(headers, SUBMISSION)
        topic = text_header(headers, REPLY_TOPIC)
        if text is None or topic is None:
            return None
        try:
            facts: Any = from_json(text.encode())
            batch = facts.get("batch") if isinstance(facts, Mapping) else None
            return cls(
                attempt=int(facts["attempt"]),
                try_number=int(facts["try"]),
                max_tries=int(facts["max_tries"]),
                run_began=int(facts["run"]),
                created_at=int(facts["created"]),
                ends=[int(end) for end in facts["ends"]],
                response_topic=topic,
                batch=batch and _batch_facts(*batch),
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            return None


def _batch_facts(batch_id: str, count: int, first: int) -> BatchFacts:
    if not is_correlation_id(str(batch_id)):
        raise ValueError("not the id of a batch")
    return BatchFacts(batch_id=batch_id, count=int(count), first=int(first))


def milliseconds(moment: datetime | None) -> int:
    """Return a time as milliseconds since 1970; 0 for none."""
    return 0 if moment is None else round(moment.timestamp() * 1000)


def moment_of(milliseconds: int) -> datetime:
    """Return the time of milliseconds since 1970."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
