"""Submits a batch: checks all payloads, stores its id and the topics' ends, then publishes.

In this order, a crash at any point neither loses nor repeats a job: the next try knows the ids that
may have been published, looks up which of them were, and publishes the others.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from kafka_bridge.airflow import job_metrics
from kafka_bridge.airflow.batch.payloads import Payload, payloads_of
from kafka_bridge.airflow.batch.publisher import JobPublisher
from kafka_bridge.airflow.batch.results import require_few_enough
from kafka_bridge.airflow.batch.specs import BatchSpec
from kafka_bridge.airflow.batch.status import BatchStatus, read_status
from kafka_bridge.airflow.batch.stored_batch import Batch, Round
from kafka_bridge.airflow.kafka_access import KafkaAccess
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.submit.requests import task_of
from kafka_bridge.airflow.submit.tracing import trace_headers
from kafka_bridge.airflow.task_log import TaskLog
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.kafka.offsets import TopicOffsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.sizes import SizeCheck
from kafka_bridge.protocol.errors import ConfigurationError, KafkaBridgeError
from kafka_bridge.protocol.messages import JobRequest, whole_milliseconds
from kafka_bridge.protocol.plain_replies import PlainSeries
from kafka_bridge.protocol.request_series import RequestSeries

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

OnPublish: TypeAlias = Callable[[Round], None]
"""Called just before jobs are published: from then on, a killed process must cancel them."""


def submit(
    spec: BatchSpec, kafka: KafkaAccess, context: Context, log: TaskLog, on_publish: OnPublish
) -> Batch | None:
    """Submit a batch, or what an earlier try has left of it.

    Returns the batch to wait for, or None if there are no payloads.

    :raises ConfigurationError: the payloads cannot be read, or are not those of the earlier try
    :raises InvalidPayload: a payload does not fit its model; nothing was sent
    :raises PayloadNotSerialisable: a payload has no JSON form; nothing was sent
    :raises RecordTooLarge: a payload is too large
    :raises KafkaError: a topic is missing, or the brokers did not accept a request
    """
    # Made first: it connects to the brokers while the payloads are checked.
    with RecordProducer(kafka.config, kafka.timeout) as producer:
        submission = _Submission(spec, kafka, context, producer, log, on_publish)
        stored = Batch.load(context["task_state_store"])
        if stored is None:
            return submission.begin(attempt=1)
        if submission.is_retry_of(stored):
            return submission.resume(stored)
        submission.cancel(stored)
        return submission.begin(attempt=stored.last.attempt + 1)


class _Submission:
    """One try to submit."""

    def __init__(
        self,
        spec: BatchSpec,
        kafka: KafkaAccess,
        context: Context,
        producer: RecordProducer,
        log: TaskLog,
        on_publish: OnPublish,
    ) -> None:
        self._spec = spec
        self._kafka = kafka
        self._context = context
        self._log = log
        self._on_publish = on_publish
        self._topic_offsets = TopicOffsets(kafka.config)  # made first, as the producer is
        self._producer = producer
        self._max_tries = context["ti"].max_tries
        self._topics = (spec.request_topic, spec.response_topic)
        self._payloads = payloads_of(spec.payloads, spec.payloads_file, spec.payload_model)

    def is_retry_of(self, stored: Batch) -> bool:
        """Whether this try continues a batch: clearing the task changes its ``max_tries``."""
        same_topics = (stored.request_topic, stored.response_topic) == self._topics
        return same_topics and stored.max_tries == self._max_tries

    def begin(self, attempt: int) -> Batch | None:
        """Submit all the payloads as a new batch."""
        draft = Round.draft(attempt)
        count = self._publisher(draft).check(self._payloads)
        if not count:
            return None
        if self._spec.returns_results:
            require_few_enough(count)
        first = replace(self._placed(draft), count=count)
        batch = Batch(self._max_tries, *self._topics, [first])
        batch.save(self._context["task_state_store"])
        self._publish(batch.last, range(count))
        return batch

    def resume(self, stored: Batch) -> Batch:
        """Publish the jobs that an earlier try did not publish.

        If that try abandoned the batch, submit again every job that another attempt may help.
        """
        another = self._placed(Round.draft(stored.last.attempt + 1))
        status = self._status(stored, another.response_offsets)
        if stored.last.abandoned or status.was_cancelled:
            return self._try_again(stored, status, another)
        published = self._published(stored.last).union(status.job_ids(finished=True))
        if len(published) < stored.last.count:
            self._check_again(stored)
            self._publish(stored.last, status.indices, published)
        return stored

    def cancel(self, stored: Batch) -> None:
        """Cancel the unfinished jobs of a batch whose task was cleared. A failure is logged."""
        try:
            status = self._status(stored)
        except KafkaBridgeError as error:
            self._log.warning("Cancelling the batch of the earlier try failed: %s", error)
        else:
            self._cancel_unfinished(status, "the task was cleared")

    def _try_again(self, stored: Batch, status: BatchStatus, another: Round) -> Batch:
        self._cancel_unfinished(status, "another attempt follows")
        if not status.unsettled:
            return stored
        self._check_again(stored)
        batch = stored.with_round(replace(another, count=len(status.unsettled)))
        batch.save(self._context["task_state_store"])
        self._publish(batch.last, status.unsettled)
        return batch

    def _check_again(self, stored: Batch) -> None:
        count = self._publisher(stored.last).check(self._payloads)
        if count != stored.total:
            raise ConfigurationError(
                f"there are {count:,} payloads now, but there were {stored.total:,} when the batch "
                "was submitted: a retry needs the same ones. Clear the task to submit the new ones."
            )

    def _status(self, stored: Batch, before: Sequence[int] | None = None) -> BatchStatus:
        return read_status(
            self._kafka.config, stored, self._spec.reply, self._kafka.timeout, before
        )

    def _placed(self, draft: Round) -> Round:
        """Return the round with the offsets where the topics end now."""
        ends = self._topic_offsets.ends(set(self._topics), self._kafka.timeout)
        request_offsets, response_offsets = (ends[topic] for topic in self._topics)
        return replace(draft, request_offsets=request_offsets, response_offsets=response_offsets)

    def _published(self, earlier: Round) -> set[str]:
        """Return the ids of those jobs of a round whose requests are in the topic."""
        wanted = {job.encode() for job in earlier.job_ids()}
        found: set[bytes] = set()
        starts = earlier.request_offsets
        for messages in scan(
            self._kafka.config, self._topics[0], starts, timeout=self._kafka.timeout
        ):
            found.update(key for each in messages if (key := each.key()) in wanted)
        return {key.decode() for key in found}

    def _publish(
        self, which: Round, indices: Sequence[int], without: Container[str] = frozenset()
    ) -> None:
        """Publish the jobs of a round, except those in ``without``.

        :param indices: the indices of their payloads
        """
        jobs = dict(zip(indices, which.job_ids(), strict=True))
        self._on_publish(which)
        count = self._publisher(which).publish(self._requested(jobs, without))
        job_metrics.submitted(self._spec.job_type, count)
        words = "Batch %s: published %d jobs (%s) to %s; waiting for workers"
        self._log.info(words, which.batch_id, count, self._spec.job_type, self._topics[0])

    def _requested(
        self, jobs: dict[int, str], without: Container[str]
    ) -> Iterator[tuple[str, Payload]]:
        for index, payload in enumerate(self._payloads):
            job = jobs.get(index)
            if job is not None and job not in without:
                yield job, payload

    def _publisher(self, which: Round) -> JobPublisher:
        topic = self._topics[0]
        requests: RequestSeries | PlainSeries
        if self._spec.reply is Reply.PLAIN:
            requests = PlainSeries(self._spec.response_topic, trace_headers())
        else:
            template = self._template(which)
            requests = RequestSeries(template, self._spec.encoding, trace_headers())
        sizes = SizeCheck(self._kafka.config, topic, self._kafka.timeout)
        return JobPublisher(self._producer, topic, requests, sizes)

    def _template(self, which: Round) -> JobRequest:
        """Return a request as those of a round are, except id and payload."""
        spec, deadline = self._spec, None
        if spec.timeout is not None:
            deadline = whole_milliseconds(which.created_at + timedelta(seconds=spec.timeout))
        return JobRequest(
            correlation_id=which.batch_id,
            attempt=which.attempt,
            job_type=spec.job_type,
            response_topic=spec.response_topic,
            created_at=which.created_at,
            expires_at=deadline,
            deadline=deadline,
            heartbeat_interval_ms=max(1, int(spec.heartbeat_interval * 1000)),  # 0: none
            task=task_of(self._context["ti"]),
            attributes={"batch_id": which.batch_id},
        )

    def _cancel_unfinished(self, status: BatchStatus, reason: str) -> None:
        self._kafka.cancel_all(status.job_ids(finished=False), reason)
