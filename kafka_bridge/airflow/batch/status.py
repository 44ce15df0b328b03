"""The status of a batch: one scan of its response topic finds the finished jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kafka_bridge.airflow.batch.finished_job import (
    FinishedJob,
    finished_by_event,
    finished_by_reply,
)
from kafka_bridge.airflow.batch.rounds import Batch
from kafka_bridge.airflow.batch.timeouts import BatchTimeouts
from kafka_bridge.airflow.kafka_access import head_reader
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.job_events import JobEventScan
from kafka_bridge.kafka.records import Record, location_of
from kafka_bridge.protocol.errors import RecordGone, RecordLocation
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """The status of a batch as its response topic shows it.

    ``jobs`` has, for each payload, its last job if that is finished, or None. ``indices`` has, for
    each job of the last round, the index of its payload.
    """

    batch: Batch
    jobs: list[FinishedJob | None]
    indices: list[int]

    @property
    def unsettled(self) -> list[int]:
        """The indices of the payloads that another attempt may help, in order."""
        return _unsettled(self.jobs, self.indices)

    @property
    def failures(self) -> int:
        """How many payloads have a failed or cancelled job as their last."""
        return sum(job is not None and job.error is not None for job in self.jobs)

    @property
    def was_cancelled(self) -> bool:
        """Whether a job of the last round was cancelled."""
        last = [self.jobs[index] for index in self.indices]
        return any(job is not None and job.state is JobState.CANCELLED for job in last)

    def job_ids(self, *, finished: bool) -> list[str]:
        """Return the ids of the finished, or of the unfinished, jobs of the last round."""
        pairs = zip(self.batch.last.job_ids(), self.indices, strict=True)
        return [job_id for job_id, index in pairs if (self.jobs[index] is not None) is finished]


def read_status(
    config: KafkaConfig,
    batch: Batch,
    reply: Reply,
    timeout: float,
    before: Sequence[int] | None = None,
    last_round: BatchTimeouts | None = None,
) -> BatchStatus:
    """Read the status of a batch from its response topic, up to where the topic ends now.

    :param reply: how the service answers
    :param timeout: the longest time without an answer of the brokers, in seconds
    :param before: read only what precedes these offsets, by partition: another round begins there
    :param last_round: gets the events of the last round, as if it had received them when they were
        published
    :raises RecordGone: terminal events of an earlier round are no longer in the topic
    :raises KafkaError: the topic cannot be read
    """
    jobs: list[FinishedJob | None] = [None] * batch.total
    indices = list(range(batch.total))
    closed = [*(each.ends for each in batch.rounds[1:]), before]
    by_round = _finished_by_round(config, batch, reply, timeout, closed, last_round)
    for number, found in enumerate(by_round):
        if number:
            indices = _unsettled(jobs, indices)
        if len(indices) != batch.rounds[number].count:
            raise RecordGone(
                f"responses to batch {batch.rounds[number - 1].batch_id} are no longer in topic "
                f"{batch.response_topic!r}: its retention is shorter than the batch takes. "
                "Clear the task to submit the whole batch again."
            )
        for position, index in enumerate(indices):
            jobs[index] = found.get(position)
    return BatchStatus(batch, jobs, indices)


def _unsettled(jobs: list[FinishedJob | None], indices: list[int]) -> list[int]:
    return [index for index in indices if (job := jobs[index]) is None or not job.is_settled]


def _finished_by_round(
    config: KafkaConfig,
    batch: Batch,
    reply: Reply,
    timeout: float,
    closed: Sequence[Sequence[int] | None],
    last_round: BatchTimeouts | None,
) -> list[dict[int, FinishedJob]]:
    """Return the finished jobs of each round, by position.

    Events that arrive after the next round began do not count: that round has the payloads that
    were unsettled when it began, and these must stay the same.
    """
    jobs: dict[bytes | None, tuple[int, int, str]] = {
        job_id.encode(): (number, position, job_id)
        for number, each in enumerate(batch.rounds)
        for position, job_id in enumerate(each.job_ids())
    }
    last = len(batch.rounds) - 1
    found: list[dict[int, FinishedJob]] = [{} for _ in batch.rounds]
    scan = JobEventScan(
        config,
        batch.response_topic,
        batch.rounds[0].ends,
        timeout,
        head_reader(reply),
    )
    for (number, position, job_id), head, message in scan.events_of(jobs):
        if head is None:
            continue
        if last_round is not None and number == last:
            at = max(message.timestamp()[1] / 1000, batch.last.created_ms / 1000)
            last_round.apply(job_id, head, at)
        if head.state not in TERMINAL or position in found[number]:
            continue
        location, before = location_of(message), closed[number]
        if before and not _precedes(location, before):
            continue
        if reply is Reply.PLAIN:
            job = finished_by_reply(Record.of(message))
        else:  # without the headers: reading them takes as long as all the rest
            job = finished_by_event(head.state, message.value(), location)
        if job is not None:
            found[number][position] = job
    return found


def _precedes(place: RecordLocation, offsets: Sequence[int]) -> bool:
    return place.partition < len(offsets) and place.offset < offsets[place.partition]
