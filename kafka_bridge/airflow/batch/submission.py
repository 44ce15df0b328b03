"""Submits a batch: checks all payloads, then publishes the first request, then the others.

The first request tells later tries all about its round. So after a crash at any point, no job is
lost or repeated: either nothing was published, or the next try finds the round, looks up which of
its requests were published, and publishes the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from kafka_bridge.airflow import job_metrics
from kafka_bridge.airflow.batch.payloads import Payload, payloads_of
from kafka_bridge.airflow.batch.publisher import JobPublisher, publisher_of
from kafka_bridge.airflow.batch.results import require_few_enough
from kafka_bridge.airflow.batch.rounds import Batch, KnownBatch, Round, known_batch
from kafka_bridge.airflow.batch.specs import BatchSpec, BatchWaitSpec
from kafka_bridge.airflow.batch.status import BatchStatus, read_status
from kafka_bridge.airflow.batch.timeouts import BatchTimeouts
from kafka_bridge.airflow.kafka_access import KafkaAccess
from kafka_bridge.airflow.submit.earlier import (
    Earlier,
    earlier_requests,
    life_of,
    why_another_life,
)
from kafka_bridge.airflow.submit.requests import prefix_of, task_of
from kafka_bridge.airflow.task_log import TaskLog
from kafka_bridge.kafka.offsets import TopicOffsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.errors import ConfigurationError, KafkaBridgeError
from kafka_bridge.protocol.headers import Headers

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

OnPublish: TypeAlias = Callable[[Round], None]
"""Called just before jobs are published: from then on, a killed process must cancel them."""


def submit(
    spec: BatchSpec,
    wait_spec: Callable[[Batch], BatchWaitSpec],
    kafka: KafkaAccess,
    context: Context,
    log: TaskLog,
    on_publish: OnPublish,
) -> Batch | None:
    """Submit a batch, or what an earlier try has left of it.

    Returns the batch to wait for, or None if there are no payloads.

    :param wait_spec: returns how this task waits for a batch
    :raises ConfigurationError: the payloads cannot be read, or are not those of the earlier try
    :raises InvalidPayload: a payload does not fit its model; nothing was sent
    :raises PayloadNotSerialisable: a payload has no JSON form; nothing was sent
    :raises RecordTooLarge: a payload is too large
    :raises KafkaError: a topic is missing, or the brokers did not accept a request
    """
    # Made first: it connects to the brokers while the payloads are checked.
    with RecordProducer(kafka.config, kafka.timeout) as producer:
        submission = _Submission(spec, wait_spec, kafka, context, producer, log, on_publish)
        return submission.begin()


def submitted_batch(spec: BatchSpec, kafka: KafkaAccess, context: Context) -> Batch | None:
    """Return the batch that this task instance has submitted last; None if there is none.

    :raises KafkaError: the request topic cannot be read
    """
    known, _ = _known(spec, kafka, context)
    return None if known is None else known.batch


def _known(
    spec: BatchSpec, kafka: KafkaAccess, context: Context
) -> tuple[KnownBatch | None, Earlier]:
    earlier = earlier_requests(kafka, spec.request_topic, context)
    submissions = [submission for _, submission in earlier.submissions]
    return known_batch(spec.request_topic, submissions), earlier


class _Submission:
    """One try to submit."""

    def __init__(
        self,
        spec: BatchSpec,
        wait_spec: Callable[[Batch], BatchWaitSpec],
        kafka: KafkaAccess,
        context: Context,
        producer: RecordProducer,
        log: TaskLog,
        on_publish: OnPublish,
    ) -> None:
        self._spec = spec
        self._wait_spec = wait_spec
        self._kafka = kafka
        self._context = context
        self._log = log
        self._on_publish = on_publish
        self._topic_offsets = TopicOffsets(kafka.config)  # made first, as the producer is
        self._producer = producer
        self._payloads = payloads_of(spec.payloads, spec.payloads_file, spec.payload_model)

    def begin(self) -> Batch | None:
        """Submit the batch, or what an earlier try has left of it."""
        if self._context["ti"].try_number <= 1:
            return self._submit(attempt=1)
        known, earlier = _known(self._spec, self._kafka, self._context)
        if known is None:
            return self._submit(attempt=1)
        if (why := self._why_submitted_again(known)) is None:
            return self._resume(known.batch, earlier.published)
        self._cancel(known.batch.only_last(), why)
        return self._submit(attempt=known.batch.last.attempt + 1)

    def _why_submitted_again(self, known: KnownBatch) -> str | None:
        if (why := why_another_life(known.last, self._context)) is not None:
            return why
        if known.batch.response_topic != self._spec.response_topic:
            return "it has another response topic"
        return None if known.is_whole else "requests of its earlier rounds are gone"

    def _submit(self, attempt: int) -> Batch | None:
        """Submit all the payloads as a new batch."""
        draft = self._draft(attempt)
        count = self._publisher(draft).check(self._payloads)
        if not count:
            return None
        if self._spec.returns_results:
            require_few_enough(count)
        first = replace(draft, count=count, ends=self._ends())
        batch = Batch(self._spec.request_topic, self._spec.response_topic, [first])
        self._publish_round(batch, range(count))
        return batch

    def _resume(self, batch: Batch, published: Container[str]) -> Batch:
        """Publish the jobs that an earlier try did not publish.

        If the batch would fail, submit again every job that another attempt may help.
        """
        another = replace(self._draft(batch.last.attempt + 1), ends=self._ends())
        now, last = time.time(), batch.last
        timeouts = BatchTimeouts(self._wait_spec(batch), last.job_ids(), last.created_ms / 1000)
        status = self._status(batch, another.ends, timeouts)
        if (why := self._why_tried_again(status, timeouts, now)) is not None:
            return self._try_again(status, another, why)
        unfinished = zip(status.indices, last.job_ids(), strict=True)
        missing = {
            index: job_id
            for index, job_id in unfinished
            if status.jobs[index] is None and job_id not in published
        }
        if missing:
            self._check_again(batch)
            self._publish(last, missing)
        return batch

    def _why_tried_again(
        self, status: BatchStatus, timeouts: BatchTimeouts, now: float
    ) -> str | None:
        """Return why the wait for a batch would fail, or the wait of the earlier try has failed."""
        if status.was_cancelled:
            return "jobs of it were cancelled"
        if status.failures > self._spec.tolerated_failures(status.batch.total):
            return "too many jobs of it failed"
        expired = None if timeouts.is_done else timeouts.expired(now)
        return None if expired is None else expired.message

    def _try_again(self, status: BatchStatus, another: Round, why: str) -> Batch:
        unfinished = status.job_ids(finished=False)
        self._kafka.cancel_all(unfinished, f"{why}: another attempt follows")
        if not status.unsettled:
            return status.batch
        self._check_again(status.batch)
        batch = status.batch.with_round(replace(another, count=len(status.unsettled)))
        self._publish_round(batch, status.unsettled)
        return batch

    def _cancel(self, batch: Batch, why: str) -> None:
        """Cancel the unfinished jobs of a batch. A failure is logged."""
        self._log.info(
            "Batch %s of an earlier try is submitted again: %s", batch.last.batch_id, why
        )
        try:
            status = self._status(batch)
        except KafkaBridgeError as error:
            self._log.warning("Cancelling the batch of the earlier try failed: %s", error)
        else:
            self._kafka.cancel_all(status.job_ids(finished=False), why)

    def _check_again(self, batch: Batch) -> None:
        count = self._publisher(batch.last).check(self._payloads)
        if count != batch.total:
            raise ConfigurationError(
                f"there are {count:,} payloads now, but there were {batch.total:,} when the batch "
                "was submitted: a retry needs the same ones. Clear the task to submit the new ones."
            )

    def _status(
        self,
        batch: Batch,
        before: Sequence[int] | None = None,
        last_round: BatchTimeouts | None = None,
    ) -> BatchStatus:
        kafka = self._kafka
        return read_status(kafka.config, batch, self._spec.reply, kafka.timeout, before, last_round)

    def _draft(self, attempt: int) -> Round:
        return Round.draft(prefix_of(self._context["ti"]), attempt)

    def _ends(self) -> list[int]:
        """Return where the response topic ends now."""
        # Of the request topic, too: a missing topic is found before anything is published.
        topics = {self._spec.request_topic, self._spec.response_topic}
        return self._topic_offsets.ends(topics, self._kafka.timeout)[self._spec.response_topic]

    def _publish_round(self, batch: Batch, indices: Sequence[int]) -> None:
        """Publish all jobs of the last round.

        :param indices: the indices of their payloads
        """
        submission = batch.submission(life_of(self._context), self._context["ti"].try_number)
        jobs = dict(zip(indices, batch.last.job_ids(), strict=True))
        self._publish(batch.last, jobs, submission.header())

    def _publish(self, which: Round, jobs: dict[int, str], first: Headers | None = None) -> None:
        """Publish jobs of a round.

        :param jobs: their ids, by the index of their payload
        :param first: additional headers of the first request
        """
        self._on_publish(which)
        count = self._publisher(which).publish(self._requested(jobs), first or [])
        job_metrics.submitted(self._spec.job_type, count)
        words = "Batch %s: published %d jobs (%s) to %s; waiting for workers"
        topic = self._spec.request_topic
        self._log.info(words, which.batch_id, count, self._spec.job_type, topic)

    def _requested(self, jobs: dict[int, str]) -> Iterator[tuple[str, Payload]]:
        for index, payload in enumerate(self._payloads):
            if index in jobs:
                yield jobs[index], payload

    def _publisher(self, which: Round) -> JobPublisher:
        task = task_of(self._context["ti"])
        return publisher_of(which, self._spec, task, self._kafka, self._producer)
