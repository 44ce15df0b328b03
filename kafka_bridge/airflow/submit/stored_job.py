"""A task's job in Airflow's task state store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from airflow.sdk.execution_time.context import NEVER_EXPIRE

STORE_KEY = "kafka_bridge.job"


class StateStore(Protocol):
    """Airflow's task state store: it survives retries and a task's *clear*."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value stored under a key."""

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        """Store a value under a key."""


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job, stored before it is published, so that no crash loses it or submits it twice.

    ``attempt`` counts the submissions of the task instance. ``try_number`` and ``max_tries`` are
    Airflow's at the submission. The offsets, indexed by partition, are the ends of the topics at
    that time: no record of the job has a lower one. ``created_at`` is milliseconds since 1970.
    ``outcome`` is what its task failed with: the job's state or a reserved error type.
    """

    correlation_id: str
    attempt: int
    try_number: int
    max_tries: int
    request_topic: str
    response_topic: str
    request_offsets: list[int]
    response_offsets: list[int]
    created_at: int
    outcome: str | None = None

    @property
    def submitted_at(self) -> float:
        """When it was submitted, seconds since 1970."""
        return self.created_at / 1000

    @property
    def created(self) -> datetime:
        """When its request was made."""
        return datetime.fromtimestamp(self.created_at / 1000, UTC)


def load(store: StateStore) -> StoredJob | None:
    """Return the last job of this task instance, or None if it has not submitted one."""
    stored = store.get(STORE_KEY)
    return StoredJob(**stored) if isinstance(stored, Mapping) else None


def save(store: StateStore, job: StoredJob) -> None:
    """Store a job; it never expires."""
    store.set(STORE_KEY, asdict(job), retention=NEVER_EXPIRE)


def save_outcome(store: StateStore, outcome: str) -> None:
    """Store what the task failed with: a later try submits another job."""
    job = load(store)
    if job is not None:
        save(store, replace(job, outcome=outcome))
