"""What a task does about the job of its earlier try: wait for it, or cancel it for a new one.

Airflow does not say whether a task runs again as a retry or because somebody cleared it. A clear
raises ``max_tries``; clearing a *running* task does not, but kills it, and its job is cancelled. So
a job that ended CANCELLED, though this try never asked for that, is one that was cleared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kafka_bridge.airflow import job_metrics
from kafka_bridge.airflow.arguments import OnRetry, Reply
from kafka_bridge.airflow.submit.requests import new_request, same_request
from kafka_bridge.airflow.submit.stored_job import StateStore, StoredJob, load
from kafka_bridge.airflow.submit.submitter import Submitter
from kafka_bridge.kafka.lookups.job_lookup import JobEnd, TopicPart, find_job
from kafka_bridge.kafka.responses.event_readers import event_head, plain_head
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from kafka_bridge.airflow.publish import KafkaJobPublishOperator


@dataclass(frozen=True, slots=True)
class Begun:
    """The job that a try is to wait for; ``end`` where it has ended already."""

    job: StoredJob
    end: JobEnd | None = None


class Attempts:
    """The jobs of one task instance, from try to try.

    :param renew_ended: a job that ended other than with success gets a successor
    """

    def __init__(
        self, operator: KafkaJobPublishOperator, context: Context, *, renew_ended: bool
    ) -> None:
        self._operator = operator
        self._context = context
        self._store: StateStore = context["task_state_store"]
        self._renew_ended = renew_ended
        self._submitter = Submitter(
            operator.kafka, operator.encoding, operator.reply, operator.delivery_timeout
        )

    def begin(self) -> Begun:
        """Return the job to wait for, published.

        :raises KafkaError: Kafka could not be asked, or did not take the request
        """
        job = load(self._store)
        if job is None:
            return self._submit(attempt=1)
        if (why := self._why_renewed(job)) is not None:
            return self._renew(job, why)
        return self._take_up(job)

    def after_cancelled(self) -> Begun | None:
        """Submit anew where an earlier try's job ended CANCELLED: the task was cleared.

        Returns None where it is this try's own job, which somebody else has cancelled.
        """
        job = load(self._store)
        if job is None or job.try_number == self._context["ti"].try_number:
            return None
        return self._renew(replace(job, outcome=JobState.CANCELLED), "it was cancelled")

    def _why_renewed(self, job: StoredJob) -> str | None:
        if job.max_tries != self._context["ti"].max_tries:
            return "the task was cleared"
        if job.outcome is not None:
            return f"it ended as {job.outcome}"
        if self._operator.on_retry is OnRetry.RESUBMIT:
            return "on_retry is 'resubmit'"
        return None

    def _renew(self, job: StoredJob, why: str) -> Begun:
        """Submit the next attempt, and see to it that the one before is not at work any more."""
        self._operator.log.info(
            "Job %s was attempt %d of this task; %s", job.correlation_id, job.attempt, why
        )
        if job.outcome not in TERMINAL:
            self._operator.cancel_job(job.correlation_id, f"{why}: another attempt follows")
        return self._submit(job.attempt + 1)

    def _submit(self, attempt: int) -> Begun:
        operator, instance = self._operator, self._context["ti"]
        request = new_request(operator, self._context, attempt)
        operator.under_way = request.correlation_id
        job, location = self._submitter.submit(
            request,
            operator.request_topic,
            self._store,
            try_number=instance.try_number,
            max_tries=instance.max_tries,
        )
        operator.log.info(
            "Job %s (%s) is published as %s", job.correlation_id, request.job_type, location
        )
        job_metrics.submitted(request.job_type)
        return Begun(job)

    def _take_up(self, job: StoredJob) -> Begun:
        """Find out what became of a job whose task died, and go on from there."""
        operator = self._operator
        trace = find_job(
            operator.kafka,
            job.correlation_id,
            TopicPart(job.request_topic, job.request_offsets),
            TopicPart(job.response_topic, job.response_offsets),
            operator.delivery_timeout,
            read_head=plain_head if operator.reply is Reply.PLAIN else event_head,
        )
        if trace.end and self._renew_ended and trace.end.state is not JobState.SUCCEEDED:
            return self._renew(replace(job, outcome=trace.end.state), f"it is {trace.end.state}")
        operator.under_way = job.correlation_id
        if not trace.published:
            return self._publish_stored(job)
        operator.log.info("Job %s of an earlier try is taken up again", job.correlation_id)
        return Begun(job, trace.end)

    def _publish_stored(self, job: StoredJob) -> Begun:
        """Publish what the earlier try stored and did not come to publish."""
        request = same_request(self._operator, self._context, job)
        location = self._submitter.submit_again(request, job.request_topic)
        self._operator.log.info(
            "Job %s of an earlier try had not reached Kafka; it is published as %s",
            job.correlation_id,
            location,
        )
        job_metrics.submitted(request.job_type)
        return Begun(job)
