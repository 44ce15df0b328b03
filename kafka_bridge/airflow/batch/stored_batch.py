"""A batch in the task state store: enough to find its jobs again after any crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from airflow.sdk.execution_time.context import NEVER_EXPIRE

from kafka_bridge.airflow.submit.stored_job import StateStore
from kafka_bridge.protocol.ids import batch_job_ids, new_correlation_id
from kafka_bridge.protocol.messages import utc_now

STORE_KEY = "kafka_bridge.batch"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Round:
    """Jobs of a batch that were submitted together: for all payloads, or for another attempt.

    The ids of its ``count`` jobs follow from ``batch_id``. ``attempt`` counts the submissions of
    the task instance from 1; ``created_ms`` is milliseconds since 1970. The offsets are where the
    topics ended then, by partition: no record of a job lies before them. ``abandoned``: the task
    failed because of this round, and no later try waits for it.
    """

    batch_id: str
    attempt: int
    count: int
    created_ms: int
    request_offsets: list[int]
    response_offsets: list[int]
    abandoned: bool = False

    @classmethod
    def draft(cls, attempt: int) -> Self:
        """Return a new round, made now, with a new id but without jobs and offsets."""
        now = (utc_now() - _EPOCH) // timedelta(milliseconds=1)
        return cls(new_correlation_id(), attempt, 0, now, [], [])

    @property
    def created_at(self) -> datetime:
        """When it was first submitted."""
        return _EPOCH + timedelta(milliseconds=self.created_ms)

    def job_ids(self) -> list[str]:
        """Return the correlation ids of its jobs, in order."""
        return batch_job_ids(self.batch_id, self.count)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it is stored. The first of its ``rounds`` has all the payloads.

    ``max_tries`` is Airflow's: it changes when a person clears the task.
    """

    max_tries: int
    request_topic: str
    response_topic: str
    rounds: list[Round]

    @property
    def total(self) -> int:
        """How many payloads it has."""
        return self.rounds[0].count

    @property
    def last(self) -> Round:
        """The latest round."""
        return self.rounds[-1]

    def with_round(self, another: Round) -> Batch:
        """Return the batch with one more round."""
        return replace(self, rounds=[*self.rounds, another])

    def abandoned(self) -> Batch:
        """Return the batch with its last round marked as abandoned."""
        return replace(self, rounds=[*self.rounds[:-1], replace(self.last, abandoned=True)])

    def described(self) -> dict[str, Any]:
        """Return the facts for the rendered view and the link: plain JSON."""
        return {
            "batch_id": self.last.batch_id,
            "attempt": self.last.attempt,
            "jobs": self.last.count,
            "payloads": self.total,
            "request_topic": self.request_topic,
            "response_topic": self.response_topic,
        }

    @classmethod
    def load(cls, store: StateStore) -> Self | None:
        """Return the batch that this task instance stored last, or None."""
        stored: Any = store.get(STORE_KEY)
        if not isinstance(stored, Mapping):
            return None
        return cls(**{**stored, "rounds": [Round(**each) for each in stored["rounds"]]})

    def save(self, store: StateStore) -> None:
        """Store the batch; it never expires."""
        store.set(STORE_KEY, asdict(self), retention=NEVER_EXPIRE)
