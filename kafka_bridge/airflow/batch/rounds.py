"""A batch as its task and its later tries know it: a list of rounds, without a list of jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Self

from kafka_bridge.airflow.submit.submission import (
    BatchFacts,
    Life,
    Submission,
    milliseconds,
    moment_of,
)
from kafka_bridge.protocol.ids import batch_job_ids, new_job_id
from kafka_bridge.protocol.messages import utc_now


@dataclass(frozen=True, slots=True)
class Round:
    """Jobs of a batch that were submitted together: for all payloads, or for another attempt.

    The ids of its ``count`` jobs follow from ``batch_id``. ``attempt`` counts the submissions of
    the task instance from 1; ``created_ms`` is milliseconds since 1970. ``ends`` are, by partition,
    the ends of the response topic before that: no event of a job has a lower offset.
    """

    batch_id: str
    attempt: int
    count: int
    created_ms: int
    ends: list[int]

    @classmethod
    def draft(cls, prefix: str, attempt: int) -> Self:
        """Return a new round, made now, with a new id but without jobs and ends."""
        return cls(new_job_id(prefix), attempt, 0, milliseconds(utc_now()), [])

    @property
    def created_at(self) -> datetime:
        """When it was submitted."""
        return moment_of(self.created_ms)

    def job_ids(self) -> list[str]:
        """Return the correlation ids of its jobs, in order."""
        return batch_job_ids(self.batch_id, self.count)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch. The first of its ``rounds`` has all the payloads."""

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

    def only_last(self) -> Batch:
        """Return the last round as a batch of its own."""
        return replace(self, rounds=[self.last])

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

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, for Airflow's database."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the batch of :meth:`to_json`."""
        return cls(**{**value, "rounds": [Round(**each) for each in value["rounds"]]})

    def submission(self, life: Life, try_number: int) -> Submission:
        """Return what the first request of the last round says.

        :param life: the life of the task instance
        """
        run_began, max_tries = life
        return Submission(
            attempt=self.last.attempt,
            try_number=try_number,
            max_tries=max_tries,
            run_began=run_began,
            created_at=self.last.created_ms,
            ends=self.last.ends,
            response_topic=self.response_topic,
            batch=BatchFacts(
                batch_id=self.last.batch_id,
                count=self.last.count,
                first=self.rounds[0].attempt,
            ),
        )


@dataclass(frozen=True, slots=True)
class KnownBatch:
    """The batch that a task instance submitted last, with the submission of its last round.

    ``is_whole`` is whether all of its rounds are known. If not, only the last one counts.
    """

    batch: Batch
    last: Submission
    is_whole: bool


def known_batch(request_topic: str, submissions: Sequence[Submission]) -> KnownBatch | None:
    """Return the batch that was submitted last; None if there is none.

    :param submissions: those of the task instance, in their order
    """
    of_batches = [(each, each.batch) for each in submissions if each.batch is not None]
    if not of_batches:
        return None
    last, facts = of_batches[-1]
    rounds = {
        each.attempt: Round(of.batch_id, each.attempt, of.count, each.created_at, each.ends)
        for each, of in of_batches
        if each.life == last.life and facts.first == of.first
    }
    batch = Batch(request_topic, last.response_topic, list(rounds.values()))
    is_whole = sorted(rounds) == list(range(facts.first, last.attempt + 1))
    return KnownBatch(batch, last, is_whole)
