"""A batch on its way out: everything checked, its id and the topics' ends stored, then published.

In this order a crash at any point loses nothing and doubles nothing: who comes next knows the ids
that may have been published, looks which of them have been, and publishes the others.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from kafka_bridge.airflow import job_metrics
from kafka_bridge.airflow.arguments import Reply
from kafka_bridge.airflow.batch.ends import BatchEnds, read_ends
from kafka_bridge.airflow.batch.payloads import Payload, payloads_of
from kafka_bridge.airflow.batch.publisher import JobPublisher
from kafka_bridge.airflow.batch.results import require_few_enough
from kafka_bridge.airflow.batch.stored_batch import Batch, Round
from kafka_bridge.airflow.submit.requests import task_of
from kafka_bridge.airflow.submit.tracing import trace_headers
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.kafka.offsets import EndOffsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.sizes import SizeCheck
from kafka_bridge.protocol.errors import ConfigurationError, KafkaBridgeError
from kafka_bridge.protocol.messages import JobRequest, whole_milliseconds
from kafka_bridge.protocol.plain_replies import PlainSeries
from kafka_bridge.protocol.request_series import RequestSeries

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from kafka_bridge.airflow.batch.operator import KafkaJobBatchOperator


def submit(operator: KafkaJobBatchOperator, context: Context) -> Batch | None:
    """Bring an operator's batch on its way, or what an earlier try has left to do of it.

    Returns the batch to wait for, or None where there are no payloads.

    :raises ConfigurationError: the payloads cannot be had, or are not those of the earlier try
    :raises InvalidPayload: one does not fit its model; it is named, and nothing was sent
    :raises PayloadNotSerialisable: one has no JSON form; it is named, and nothing was sent
    :raises RecordTooLarge: one is too large; it is named
    :raises KafkaError: a topic is missing, or the brokers did not take a request
    """
    # Made first: it connects to the brokers while the payloads are checked.
    with RecordProducer(operator.kafka, operator.delivery_timeout) as producer:
        submission = _Submission(operator, context, producer)
        stored = Batch.load(context["task_state_store"])
        if stored is None:
            return submission.begin(attempt=1)
        if submission.is_retry_of(stored):
            return submission.go_on(stored)
        submission.cancel(stored)
        return submission.begin(attempt=stored.last.attempt + 1)


class _Submission:
    """One try to submit."""

    def __init__(
        self, operator: KafkaJobBatchOperator, context: Context, producer: RecordProducer
    ) -> None:
        self._operator = operator
        self._context = context
        self._config = operator.kafka
        self._ends = EndOffsets(self._config)  # made first, as the producer is
        self._producer = producer
        self._timeout = operator.delivery_timeout
        self._max_tries = context["ti"].max_tries
        self._topics = (operator.request_topic, operator.response_topic)
        self._payloads = payloads_of(
            operator.payloads, operator.payloads_file, operator.payload_model
        )

    def is_retry_of(self, stored: Batch) -> bool:
        """Tell whether a try goes on with a batch: clearing the task changes its ``max_tries``."""
        same_topics = (stored.request_topic, stored.response_topic) == self._topics
        return same_topics and stored.max_tries == self._max_tries

    def begin(self, attempt: int) -> Batch | None:
        """Submit all the payloads as a new batch."""
        draft = Round.draft(attempt)
        count = self._publisher(draft).check(self._payloads)
        if not count:
            return None
        if self._operator.returns_results:
            require_few_enough(count)
        first = replace(self._placed(draft), count=count)
        batch = Batch(self._max_tries, *self._topics, [first])
        batch.save(self._context["task_state_store"])
        self._publish(batch.last, range(count))
        return batch

    def go_on(self, stored: Batch) -> Batch:
        """Submit what an earlier try has not, or, where it gave up, what may yet succeed."""
        another = self._placed(Round.draft(stored.last.attempt + 1))
        stand = self._stand(stored, another.response_offsets)
        if stored.last.given_up or stand.was_cancelled:
            return self._try_again(stored, stand, another)
        there = self._published(stored.last).union(stand.jobs(ended=True))
        if len(there) < stored.last.count:
            self._check_again(stored)
            self._publish(stored.last, stand.indices, there)
        return stored

    def cancel(self, stored: Batch) -> None:
        """Cancel what is unfinished of a batch that was cleared, where that is known."""
        try:
            stand = self._stand(stored)
        except KafkaBridgeError as error:
            self._operator.log.warning("The earlier batch could not be cancelled: %s", error)
        else:
            self._cancel_unfinished(stand, "the task was cleared")

    def _try_again(self, stored: Batch, stand: BatchEnds, another: Round) -> Batch:
        self._cancel_unfinished(stand, "another attempt follows")
        if not stand.unsettled:
            return stored
        self._check_again(stored)
        batch = stored.with_round(replace(another, count=len(stand.unsettled)))
        batch.save(self._context["task_state_store"])
        self._publish(batch.last, stand.unsettled)
        return batch

    def _check_again(self, stored: Batch) -> None:
        count = self._publisher(stored.last).check(self._payloads)
        if count != stored.total:
            raise ConfigurationError(
                f"there are {count:,} payloads now, and were {stored.total:,} when the batch was "
                "submitted: a retry needs the same ones. Clear the task to submit these anew."
            )

    def _stand(self, stored: Batch, before: Sequence[int] | None = None) -> BatchEnds:
        return read_ends(self._config, stored, self._operator.reply, self._timeout, before)

    def _placed(self, draft: Round) -> Round:
        """Return a round that begins where the topics end now."""
        ends = self._ends.of(set(self._topics), self._timeout)
        request_offsets, response_offsets = (ends[topic] for topic in self._topics)
        return replace(draft, request_offsets=request_offsets, response_offsets=response_offsets)

    def _published(self, earlier: Round) -> set[str]:
        """Return the jobs of a round whose requests are in their topic."""
        wanted = {job.encode() for job in earlier.job_ids()}
        found: set[bytes] = set()
        starts = earlier.request_offsets
        for messages in scan(self._config, self._topics[0], starts, timeout=self._timeout):
            found.update(key for each in messages if (key := each.key()) in wanted)
        return {key.decode() for key in found}

    def _publish(
        self, which: Round, indices: Sequence[int], without: Container[str] = frozenset()
    ) -> None:
        """Publish a round's jobs, which have these payloads; not those that are there already."""
        jobs = dict(zip(indices, which.job_ids(), strict=True))
        self._operator.published = which
        count = self._publisher(which).publish(self._requested(jobs, without))
        job_metrics.submitted(self._operator.job_type, count)
        self._operator.log.info(
            "Batch %s: %d jobs (%s) are published to %s; waiting for workers",
            which.batch_id,
            count,
            self._operator.job_type,
            self._topics[0],
        )

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
        if self._operator.reply is Reply.PLAIN:
            requests = PlainSeries(self._operator.response_topic, trace_headers())
        else:
            template = self._template(which)
            requests = RequestSeries(template, self._operator.encoding, trace_headers())
        sizes = SizeCheck(self._config, topic, self._timeout)
        return JobPublisher(self._producer, topic, requests, sizes)

    def _template(self, which: Round) -> JobRequest:
        """Return a request as those of a round are, but for id and payload."""
        operator, deadline = self._operator, None
        if operator.timeout is not None:
            deadline = whole_milliseconds(which.created_at + timedelta(seconds=operator.timeout))
        return JobRequest(
            correlation_id=which.batch_id,
            attempt=which.attempt,
            job_type=operator.job_type,
            response_topic=operator.response_topic,
            created_at=which.created_at,
            expires_at=deadline,
            deadline=deadline,
            heartbeat_interval_ms=max(1, int(operator.heartbeat_interval * 1000)),  # 0: none
            task=task_of(self._context),
            attributes={"batch_id": which.batch_id},
        )

    def _cancel_unfinished(self, stand: BatchEnds, reason: str) -> None:
        if jobs := stand.jobs(ended=False):
            self._operator.cancel_jobs(jobs, reason)
