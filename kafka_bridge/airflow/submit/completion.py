"""The end of a task's wait: the job's terminal event is read, and its result becomes the XCom."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from kafka_bridge.airflow import exceptions, job_metrics
from kafka_bridge.airflow.handles import JobHandle
from kafka_bridge.airflow.kafka_access import KafkaAccess
from kafka_bridge.airflow.limits import job_limits, require_fit
from kafka_bridge.airflow.outcomes import (
    failure_of,
    is_stored_by_airflow,
    plain_event,
    result_of,
    storable,
)
from kafka_bridge.airflow.specs import Reply, ResultSpec
from kafka_bridge.airflow.submit.timeout_advice import TIMEOUTS, timeout_advice
from kafka_bridge.airflow.task_log import TaskLog
from kafka_bridge.kafka.offsets import read_record
from kafka_bridge.kafka.records import Record
from kafka_bridge.kafka.responses.subscriptions import Arrival
from kafka_bridge.protocol.errors import RecordGone, RecordLocation, RemoteProtocolError
from kafka_bridge.protocol.messages import ErrorType, JobState, StatusEvent
from kafka_bridge.protocol.sanitize import block, one_line

NOT_RETRIED = "not retried: the service said retryable=false"


@dataclass(frozen=True, slots=True)
class JobCompletion:
    """The end of a task's wait for a job.

    :param spec: what becomes of the job's result
    :param cancel_on_timeout: cancel the job when a timeout ended the wait
    :param closes_at: when ``schedule_to_close_timeout`` passes, seconds since 1970: after that, no
        failure is retried. Infinite without that timeout
    """

    job: JobHandle
    spec: ResultSpec
    kafka: KafkaAccess
    log: TaskLog
    cancel_on_timeout: bool
    closes_at: float

    def xcom(self, event: Mapping[str, Any], arrival: Arrival | None = None) -> Any:
        """Return the task's XCom: the job's result, or what ``result_handler`` makes of it.

        :param event: what the trigger fired
        :param arrival: the terminal event, if this process has received it; else it is read
        :raises JobError: the job did not succeed; the error is one of Airflow's kinds as well
        :raises ResultTooLarge: the result is too large for an XCom
        :raises ResultNotStorable: Airflow cannot store the result
        :raises ResultUnreadable: the result does not match its media type
        :raises KafkaJobWaitFailed: the triggerer could not wait for the job
        :raises RecordGone: the terminal record is no longer in the topic
        """
        result = self._result(event, arrival)
        if self.spec.handler is not None:
            return storable(self.spec, self.spec.handler(result), "what result_handler returned")
        return storable(self.spec, result)

    def _result(self, event: Mapping[str, Any], arrival: Arrival | None) -> Any:
        if "error" in event:
            self._raise_wait_failure(event["error"], event["message"])
        location = RecordLocation(self.job.response_topic, event["partition"], event["offset"])
        if arrival is not None and self.job.reply != Reply.PLAIN:
            record = Record(location, None, arrival.value, [], -1)
        else:  # of a plain reply, the headers are needed as well
            record = read_record(self.kafka.config, location, self.kafka.timeout)
        ended = self._terminal_event(record, event["state"])
        self._log_end(ended)
        duration = ended.occurred_at.timestamp() - self.job.submitted_at
        job_metrics.completed(self.job.job_type, ended.state, duration)
        if self.spec.handler is None and self.spec.do_xcom_push and is_stored_by_airflow():
            require_fit(ended, location)
        return result_of(self._without_late_retry(ended), location)

    @property
    def _is_out_of_time(self) -> bool:
        return time.time() >= self.closes_at

    def _without_late_retry(self, ended: StatusEvent) -> StatusEvent:
        """Return an end that is not retried, if no time is left for a retry.

        Often the worker has stopped the job itself, since the request's deadline is the same time.
        """
        error = ended.error
        if error is None or not error.retryable or not self._is_out_of_time:
            return ended
        words = "Job %s is not retried: schedule_to_close_timeout has passed"
        self.log.error(words, ended.correlation_id)
        return replace(ended, error=replace(error, retryable=False))

    def _log_end(self, ended: StatusEvent) -> None:
        job, limits = ended.correlation_id, job_limits()
        if ended.state is JobState.SUCCEEDED:
            self.log.info("Job %s: SUCCEEDED", job)
        elif ended.state is JobState.CANCELLED:
            self.log.warning("Job %s: CANCELLED: %s", job, ended.message or "no reason was given")
        else:
            failure = failure_of(ended)
            text = f"FAILED: {failure}" if ended.error is not None else str(failure)
            verdict = "" if failure.retryable else f"; {NOT_RETRIED}"
            self.log.error("Job %s: %s%s", job, one_line(text, limits.message), verdict)
            if failure.details:
                details = block(failure.details, limits.details)
                self.log.error("The worker's own details:\n%s", details)

    def _terminal_event(self, record: Record, state: str) -> StatusEvent:
        try:
            return terminal_event(record, self.job)
        except RemoteProtocolError as error:
            if state == JobState.SUCCEEDED:  # a retry would find the same record
                raise exceptions.ResultUnreadable(error.reason, record.location) from error
            raise

    def _raise_wait_failure(self, error: str, message: str) -> NoReturn:
        text = f"{error}: {message}"
        if error not in TIMEOUTS:
            raise exceptions.KafkaJobWaitFailed(text)
        job_metrics.completed(self.job.job_type, error, None)
        if self.job.reply == Reply.PLAIN:
            text = f"{error}: no reply came in time"
        timeout = ErrorType(error)
        advice = timeout_advice(
            timeout, self.kafka, self.job.request_topic, time_limit="start_to_close_timeout"
        )
        if self.cancel_on_timeout:
            self.kafka.cancel(self.job.correlation_id, text)
        is_last = timeout is ErrorType.NOT_FINISHED or self._is_out_of_time
        kind = exceptions.KafkaJobTimedOutNonRetryable if is_last else exceptions.KafkaJobTimedOut
        raise kind(f"{text}. {advice}", timeout)


def terminal_event(record: Record, job: JobHandle) -> StatusEvent:
    """Return the terminal event of a job from the record at a known location.

    :raises RecordGone: the record belongs to another job
    :raises RemoteProtocolError: the record is not a status event
    """
    ended = plain_event(record) if job.reply == Reply.PLAIN else record.decode(StatusEvent)
    if ended is None or ended.correlation_id != job.correlation_id:
        whose = ended.correlation_id if ended else "it names none"
        raise RecordGone(
            f"record {record.location} belongs to another job ({whose}): "
            "was the topic deleted and created again?"
        )
    return ended
