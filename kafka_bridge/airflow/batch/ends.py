"""What the jobs of a batch came to: one scan of the response topic, a dictionary by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kafka_bridge.airflow.batch.ledger import Batch
from kafka_bridge.airflow.outcomes import result_of
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.records import location_of
from kafka_bridge.kafka.scan import scan
from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.errors import (
    JobCancelled,
    JobFailed,
    RecordGone,
    RecordLocation,
    RemoteProtocolError,
)
from kafka_bridge.protocol.event_head import read_head
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import ErrorType, JobFailure, JobState, StatusEvent

CANCELLED = "cancelled"
"""The type of the error of a job that was cancelled."""


@dataclass(frozen=True, slots=True)
class JobEnd:
    """What one job came to: its ``result``, or its ``error``."""

    state: JobState
    result: Any = None
    error: JobFailure | None = None

    @property
    def is_settled(self) -> bool:
        """Whether another attempt is no use: it has succeeded, or failed for good."""
        return self.state is JobState.SUCCEEDED or (
            self.state is JobState.FAILED and self.error is not None and not self.error.retryable
        )


@dataclass(frozen=True, slots=True)
class BatchEnds:
    """Where a batch stands, as its response topic tells.

    ``ends`` has for each payload the end of its last job, or None where that has not ended;
    ``indices`` says for each job of the last round which payload it has.
    """

    batch: Batch
    ends: list[JobEnd | None]
    indices: list[int]

    @property
    def unsettled(self) -> list[int]:
        """The payloads for which another attempt may bring something, in order."""
        return _unsettled(self.ends, self.indices)

    @property
    def was_cancelled(self) -> bool:
        """Whether a job of the last round was cancelled."""
        last = [self.ends[index] for index in self.indices]
        return any(end is not None and end.state is JobState.CANCELLED for end in last)

    def jobs(self, *, ended: bool) -> list[str]:
        """Return the ids of those jobs of the last round that have ended, or of the others."""
        pairs = zip(self.batch.last.job_ids(), self.indices, strict=True)
        return [job for job, index in pairs if (self.ends[index] is not None) is ended]


def read_ends(
    config: KafkaConfig, batch: Batch, timeout: float, before: Sequence[int] | None = None
) -> BatchEnds:
    """Read where a batch stands, up to where the response topic ends now.

    :param timeout: the longest silence of the brokers, in seconds
    :param before: look only at what precedes these offsets, by partition: there, another round is
        to begin
    :raises RecordGone: ends of an earlier round are no longer there
    :raises KafkaError: the topic cannot be read
    """
    ends: list[JobEnd | None] = [None] * batch.total
    indices = list(range(batch.total))
    closed = [*(each.response_offsets for each in batch.rounds[1:]), before]
    for number, found in enumerate(_ends_by_round(config, batch, timeout, closed)):
        if number:
            indices = _unsettled(ends, indices)
        if len(indices) != batch.rounds[number].count:
            raise RecordGone(
                f"responses to batch {batch.rounds[number - 1].batch_id} are no longer in topic "
                f"{batch.response_topic!r}: its retention is shorter than the batch takes. "
                "Clear the task to begin anew."
            )
        for position, index in enumerate(indices):
            ends[index] = found.get(position)
    return BatchEnds(batch, ends, indices)


def _unsettled(ends: list[JobEnd | None], indices: list[int]) -> list[int]:
    return [index for index in indices if (end := ends[index]) is None or not end.is_settled]


def _ends_by_round(
    config: KafkaConfig, batch: Batch, timeout: float, closed: Sequence[Sequence[int] | None]
) -> list[dict[int, JobEnd]]:
    """Return for each round the ends of its jobs, by position.

    What came after a round was closed decides nothing: the payloads of the next one are those that
    had not succeeded then, and must stay the same.
    """
    jobs: dict[bytes | None, tuple[int, int]] = {
        job.encode(): (number, position)
        for number, each in enumerate(batch.rounds)
        for position, job in enumerate(each.job_ids())
    }
    found: list[dict[int, JobEnd]] = [{} for _ in batch.rounds]
    starts = batch.rounds[0].response_offsets
    for messages in scan(config, batch.response_topic, starts, timeout=timeout):
        for message in messages:
            place = jobs.get(message.key())
            if place is None:
                continue
            number, position = place
            location, before = location_of(message), closed[number]
            if position in found[number] or (before and not _precedes(location, before)):
                continue
            if (end := end_of(message.value(), location)) is not None:
                found[number][position] = end
    return found


def _precedes(place: RecordLocation, offsets: Sequence[int]) -> bool:
    return place.partition < len(offsets) and place.offset < offsets[place.partition]


def end_of(value: bytes | None, location: RecordLocation) -> JobEnd | None:
    """Return what the value of a record says of its job's end, or None where it is no end."""
    try:
        if read_head(value).state not in TERMINAL:
            return None
    except RemoteProtocolError:
        return None  # nor was it one for the trigger
    try:
        event = decode(StatusEvent, value)
        return JobEnd(event.state, result=result_of(event, location))
    except JobFailed as error:
        facts = (error.error_type, error.error_message, error.details, error.retryable)
        return JobEnd(JobState.FAILED, error=JobFailure(*facts))
    except JobCancelled as error:
        return JobEnd(JobState.CANCELLED, error=JobFailure(CANCELLED, str(error)))
    except RemoteProtocolError as error:
        words = str(error if error.location else error.at(location))
        unreadable = JobFailure(ErrorType.UNREADABLE, words, retryable=True)
        return JobEnd(JobState.FAILED, error=unreadable)
