"""What the jobs of a batch came to: one scan of the response topic, a dictionary by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kafka_bridge.airflow.batch.job_end import JobEnd, end_of, plain_end_of
from kafka_bridge.airflow.batch.stored_batch import Batch
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.kafka.addressing import addressed
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.kafka.records import Record, location_of
from kafka_bridge.protocol.errors import RecordGone, RecordLocation
from kafka_bridge.protocol.messages import JobState


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
    config: KafkaConfig,
    batch: Batch,
    reply: Reply,
    timeout: float,
    before: Sequence[int] | None = None,
) -> BatchEnds:
    """Read where a batch stands, up to where the response topic ends now.

    :param reply: how the service answers
    :param timeout: the longest silence of the brokers, in seconds
    :param before: look only at what precedes these offsets, by partition: there, another round is
        to begin
    :raises RecordGone: ends of an earlier round are no longer there
    :raises KafkaError: the topic cannot be read
    """
    ends: list[JobEnd | None] = [None] * batch.total
    indices = list(range(batch.total))
    closed = [*(each.response_offsets for each in batch.rounds[1:]), before]
    for number, found in enumerate(_ends_by_round(config, batch, reply, timeout, closed)):
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
    config: KafkaConfig,
    batch: Batch,
    reply: Reply,
    timeout: float,
    closed: Sequence[Sequence[int] | None],
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
        for message, (number, position) in addressed(messages, jobs):
            location, before = location_of(message), closed[number]
            if position in found[number] or (before and not _precedes(location, before)):
                continue
            if reply is Reply.PLAIN:
                end = plain_end_of(Record.of(message))
            else:  # without the headers, which take as long to read as all the rest
                end = end_of(message.value(), location)
            if end is not None:
                found[number][position] = end
    return found


def _precedes(place: RecordLocation, offsets: Sequence[int]) -> bool:
    return place.partition < len(offsets) and place.offset < offsets[place.partition]
