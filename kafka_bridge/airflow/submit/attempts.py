"""Decides what a try does with the job of the try before: wait for it, or submit another one.

Airflow does not tell a retry from a cleared task. A clear raises ``max_tries``. Clearing a
*running* task does not, but it kills the task's process, which cancels the job. So if the job of an
earlier try ended CANCELLED, the task was cleared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from kafka_bridge.airflow import job_metrics
from kafka_bridge.airflow.kafka_access import KafkaAccess, head_reader
from kafka_bridge.airflow.specs import JobSpec, OnRetry
from kafka_bridge.airflow.submit.requests import new_request, same_request
from kafka_bridge.airflow.submit.stored_job import StateStore, StoredJob, load, save_outcome
from kafka_bridge.airflow.submit.submitter import Submitter
from kafka_bridge.airflow.task_log import TaskLog
from kafka_bridge.kafka.lookups.job_lookup import JobLookup, TerminalEvent, TopicPart, find_job
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState


@dataclass(frozen=True, slots=True)
class Begun:
    """The job that a try waits for; ``end`` is set if the job has finished already."""

    job: StoredJob
    end: TerminalEvent | None = None


class Attempts:
    """The jobs of one task instance, from try to try.

    :param ti: the task instance
    :param renew_ended: submit a successor of a job that ended without success
    :param on_job: called with the id of the job that this try goes on with, before its request is
        published: from then on, a killed task must cancel it
    """

    def __init__(
        self,
        spec: JobSpec,
        kafka: KafkaAccess,
        store: StateStore,
        ti: Any,
        log: TaskLog,
        *,
        renew_ended: bool,
        on_job: Callable[[str], None],
    ) -> None:
        self._spec = spec
        self._kafka = kafka
        self._store = store
        self._ti = ti
        self._log = log
        self._renew_ended = renew_ended
        self._on_job = on_job

    @cached_property
    def _submitter(self) -> Submitter:
        spec = self._spec
        return Submitter(self._kafka.config, spec.encoding, spec.reply, spec.broker_timeout)

    def last(self) -> StoredJob | None:
        """Return the last job, or None if there is none."""
        return load(self._store)

    def save_outcome(self, outcome: str) -> None:
        """Store what the task failed with: a later try submits another job."""
        save_outcome(self._store, outcome)

    def begin(self) -> Begun:
        """Return the job to wait for, published.

        :raises KafkaError: the brokers did not answer, or refused the request
        """
        job = self.last()
        if job is None:
            return self._submit(attempt=1)
        if (why := self._why_renewed(job)) is not None:
            return self._renew(job, why)
        return self._reattach(job)

    def is_from_earlier_try(self) -> bool:
        """Return whether the last job is not this try's own.

        If such a job ended CANCELLED, the task was cleared. This try's own job was cancelled by
        somebody else.
        """
        job = self.last()
        return job is not None and job.try_number != self._ti.try_number

    def renew_cancelled(self) -> Begun:
        """Submit another job in place of an earlier try's job, which ended CANCELLED."""
        job = self.last()
        assert job is not None  # noqa: S101  is_from_earlier_try() said so
        return self._renew(replace(job, outcome=JobState.CANCELLED), "it was cancelled")

    def _why_renewed(self, job: StoredJob) -> str | None:
        if job.max_tries != self._ti.max_tries:
            return "the task was cleared"
        if job.outcome is not None:
            return f"it ended as {job.outcome}"
        if self._spec.on_retry is OnRetry.RESUBMIT:
            return "on_retry is 'resubmit'"
        return None

    def _renew(self, job: StoredJob, why: str) -> Begun:
        """Submit the next attempt, and cancel the one before if it may still run."""
        self._log.info(
            "Job %s was attempt %d of this task; %s", job.correlation_id, job.attempt, why
        )
        if job.outcome not in TERMINAL:
            self._kafka.cancel(job.correlation_id, f"{why}: another attempt follows")
        return self._submit(job.attempt + 1)

    def _submit(self, attempt: int) -> Begun:
        request = new_request(self._spec, self._ti, attempt)
        self._on_job(request.correlation_id)
        job, location = self._submitter.submit(
            request,
            self._spec.request_topic,
            self._store,
            try_number=self._ti.try_number,
            max_tries=self._ti.max_tries,
        )
        self._log.info(
            "Published job %s (%s) as %s", job.correlation_id, request.job_type, location
        )
        job_metrics.submitted(request.job_type)
        return Begun(job)

    def _reattach(self, job: StoredJob) -> Begun:
        """Look up a job whose task died, and go on from its state."""
        found = self._look_up(job)
        if found.end and self._renew_ended and found.end.state is not JobState.SUCCEEDED:
            return self._renew(replace(job, outcome=found.end.state), f"it is {found.end.state}")
        self._on_job(job.correlation_id)
        if not found.published:
            return self._publish_stored(job)
        self._log.info("Reattached to job %s of an earlier try", job.correlation_id)
        return Begun(job, found.end)

    def _look_up(self, job: StoredJob) -> JobLookup:
        return find_job(
            self._kafka.config,
            job.correlation_id,
            TopicPart(job.request_topic, job.request_offsets),
            TopicPart(job.response_topic, job.response_offsets),
            self._spec.broker_timeout,
            read_head=head_reader(self._spec.reply),
        )

    def _publish_stored(self, job: StoredJob) -> Begun:
        """Publish the request that the earlier try stored but did not publish."""
        request = same_request(self._spec, self._ti, job)
        location = self._submitter.submit_again(request, job.request_topic)
        self._log.info(
            "Job %s of an earlier try had not reached Kafka: published it as %s",
            job.correlation_id,
            location,
        )
        job_metrics.submitted(request.job_type)
        return Begun(job)
