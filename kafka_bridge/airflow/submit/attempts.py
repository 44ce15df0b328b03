"""Decides what a try does with the job of the try before: wait for it, or submit another one.

A try waits for that job if the wait would not fail at once. Airflow does not tell a retry from a
cleared task. A clear changes the task's :data:`~kafka_bridge.airflow.submit.submission.Life`.
Clearing a *running* task does not, but it kills the task's process, which cancels the job. So if
the job of an earlier try ended CANCELLED, the task was cleared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka_bridge.airflow import job_metrics
from kafka_bridge.airflow.exceptions import KafkaJobTimedOutNonRetryable
from kafka_bridge.airflow.handles import JobHandle
from kafka_bridge.airflow.kafka_access import KafkaAccess
from kafka_bridge.airflow.specs import JobSpec, OnRetry, WaitSpec
from kafka_bridge.airflow.submit.earlier import earlier_requests, life_of, why_another_life
from kafka_bridge.airflow.submit.fate import Fate, JobEnd, fate_of
from kafka_bridge.airflow.submit.requests import new_request
from kafka_bridge.airflow.submit.submission import Submission, milliseconds
from kafka_bridge.airflow.submit.submitter import Submitter
from kafka_bridge.airflow.submit.timeout_advice import NO_TIME_LEFT
from kafka_bridge.airflow.task_log import TaskLog
from kafka_bridge.airflow.triggerer.timeouts import not_finished
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.messages import ErrorType, JobState

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


@dataclass(frozen=True, slots=True)
class Begun:
    """The job that a try waits for; ``end`` is set if the job has finished already."""

    job: JobHandle
    end: JobEnd | None = None


class Attempts:
    """The jobs of one task instance, from try to try.

    :param wait_spec: returns how this task waits for a job; None: it does not wait, and keeps the
        job of the earlier try, whatever became of it
    :param on_job: called with the id of the job that this try goes on with, before its request is
        published: from then on, a killed task must cancel it
    """

    def __init__(
        self,
        spec: JobSpec,
        kafka: KafkaAccess,
        context: Context,
        log: TaskLog,
        *,
        wait_spec: Callable[[JobHandle], WaitSpec] | None,
        on_job: Callable[[str], None],
    ) -> None:
        self._spec = spec
        self._kafka = kafka
        self._context = context
        self._ti: Any = context["ti"]
        self._log = log
        self._wait_spec = wait_spec
        self._on_job = on_job

    def begin(self) -> Begun:
        """Return the job to wait for, published.

        :raises KafkaError: the brokers did not answer, or refused the request
        :raises KafkaJobTimedOutNonRetryable: no time is left for another job
        """
        last = self._last() if self._ti.try_number > 1 else None
        if last is None:
            return self._submit(attempt=1)
        submission, job = last
        fate = fate_of(job, self._kafka, self._wait_spec and self._wait_spec(job))
        if (why := why_another_life(submission, self._context)) is not None:
            self._give_up(job, why, cancel=fate.end is None)
            return self._submit(job.attempt + 1)
        if (why := self._why_renewed(fate)) is not None:
            return self.renew(job, why, cancel=fate.end is None)
        self._on_job(job.correlation_id)
        self._log.info("Reattached to job %s of an earlier try", job.correlation_id)
        return Begun(job, fate.end)

    def last(self) -> JobHandle | None:
        """Return the job that this task instance has submitted last; None if there is none.

        :raises KafkaError: the brokers did not answer
        """
        last = self._last()
        return None if last is None else last[1]

    def renew(self, job: JobHandle, why: str, *, cancel: bool) -> Begun:
        """Submit the next attempt of the same life.

        :param job: the attempt before
        :param cancel: cancel that one, which may still run
        :raises KafkaError: the brokers did not answer, or refused the request
        :raises KafkaJobTimedOutNonRetryable: no time is left for another job
        """
        limit = self._spec.schedule_to_close_timeout
        if limit is not None and time.time() >= job.closes_at(limit):
            self._give_up(job, why, cancel=cancel, follows="no time is left for another attempt")
            raise _out_of_time(limit)
        self._give_up(job, why, cancel=cancel)
        return self._submit(job.attempt + 1, job.limited_since)

    def _give_up(
        self, job: JobHandle, why: str, *, cancel: bool, follows: str = "another attempt follows"
    ) -> None:
        self._log.info(
            "Job %s was attempt %d of this task; %s", job.correlation_id, job.attempt, why
        )
        if cancel:
            self._kafka.cancel(job.correlation_id, f"{why}: {follows}")

    def _last(self) -> tuple[Submission, JobHandle] | None:
        found = earlier_requests(self._kafka, self._spec.request_topic, self._context)
        if not found.submissions:
            return None
        job_id, last = found.submissions[-1]
        first = min(each.created_at for _, each in found.submissions if each.life == last.life)
        return last, self._handle_of(job_id, last, found.places.get(job_id), first / 1000)

    def _why_renewed(self, fate: Fate) -> str | None:
        if self._wait_spec and fate.end and fate.end.state is not JobState.SUCCEEDED:
            return f"it ended as {fate.end.state}"
        if fate.expired is not None:
            return fate.expired
        if self._spec.on_retry is OnRetry.RESUBMIT:
            return "on_retry is 'resubmit'"
        return None

    def _submit(self, attempt: int, first_submitted_at: float | None = None) -> Begun:
        spec = self._spec
        request = new_request(spec, self._ti, attempt, first_submitted_at)
        self._on_job(request.correlation_id)
        run_began, max_tries = life_of(self._context)

        def submission(ends: list[int]) -> Submission:
            return Submission(
                attempt=attempt,
                try_number=self._ti.try_number,
                max_tries=max_tries,
                run_began=run_began,
                created_at=milliseconds(request.created_at),
                ends=ends,
                response_topic=request.response_topic,
            )

        submitter = Submitter(self._kafka.config, spec.encoding, spec.reply, spec.broker_timeout)
        submitted, location = submitter.submit(request, spec.request_topic, submission)
        first = submitted.created_at / 1000 if first_submitted_at is None else first_submitted_at
        job = self._handle_of(request.correlation_id, submitted, location, first)
        self._log.info(
            "Published job %s (%s) as %s", job.correlation_id, request.job_type, location
        )
        job_metrics.submitted(request.job_type)
        return Begun(job)

    def _handle_of(
        self, job_id: str, submission: Submission, place: RecordLocation | None, first: float
    ) -> JobHandle:
        spec = self._spec
        return JobHandle(
            correlation_id=job_id,
            attempt=submission.attempt,
            try_number=submission.try_number,
            job_type=spec.job_type,
            kafka_config_id=spec.kafka_config_id,
            request_topic=spec.request_topic,
            response_topic=submission.response_topic,
            start_offsets=submission.ends,
            submitted_at=submission.created_at / 1000,
            reply=spec.reply,
            request_partition=place.partition if place else None,
            request_offset=place.offset if place else None,
            first_submitted_at=first,
        )


def _out_of_time(limit: float) -> KafkaJobTimedOutNonRetryable:
    rule = ErrorType.NOT_FINISHED
    text = f"{rule}: {not_finished(limit)}. {NO_TIME_LEFT}"
    return KafkaJobTimedOutNonRetryable(text, rule)
