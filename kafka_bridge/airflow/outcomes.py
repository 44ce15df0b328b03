"""What a job came to, as a task's result or the exception that the task raises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from kafka_bridge.airflow import exceptions, job_metrics
from kafka_bridge.airflow.arguments import Reply
from kafka_bridge.airflow.limits import job_limits, require_fit
from kafka_bridge.airflow.storable import MAX_LEVELS, XCOM, first_bad_output
from kafka_bridge.kafka.admin.diagnosis import diagnose
from kafka_bridge.kafka.offsets import read_record
from kafka_bridge.kafka.records import Record
from kafka_bridge.payloads import from_bytes
from kafka_bridge.protocol.errors import RecordGone, RecordLocation, RemoteProtocolError
from kafka_bridge.protocol.media_types import NestedTooDeep
from kafka_bridge.protocol.messages import ErrorType, JobState, StatusEvent, utc_now
from kafka_bridge.protocol.plain_replies import plain_end
from kafka_bridge.protocol.sanitize import block, sanitized

if TYPE_CHECKING:
    from kafka_bridge.airflow.base import BridgeOperator
    from kafka_bridge.airflow.handles import JobHandle
    from kafka_bridge.airflow.waiting_operator import WaitingOperator

_ADVICE = {
    ErrorType.WORKER_LOST: (
        "Look at that worker's log. A worker that is alive speaks at least every "
        "heartbeat_interval; a dead one's job goes to another worker of its group within the "
        "session time-out, so a heartbeat_timeout well above both is needed."
    ),
    ErrorType.DEADLINE_EXCEEDED: (
        "See in the lines above how far it had come; allow more time with start_to_close_timeout."
    ),
}
"""What a person is to do about a time-out; about NOT_STARTED, a diagnosis says it."""

SPRING_IS_SILENT = (
    "A Spring listener that throws sends no reply: give it an errorHandler that returns one "
    "(@KafkaListener(errorHandler = …))."
)


STORE_ELSEWHERE = (
    "Let a result_handler make a value of it that can be stored, or let the service put such data "
    "elsewhere and return its address"
)


class JobOutcome:
    """The end of a task's wait for a job."""

    def __init__(self, operator: WaitingOperator, job: JobHandle) -> None:
        self._operator = operator
        self._job = job

    def result(self, event: dict[str, Any]) -> Any:
        """Return the result of a job that has succeeded, as XCom can hold it.

        :param event: what the trigger fired
        :raises JobError: it did not succeed, in one of Airflow's kinds
        :raises ResultTooLarge: it is to be stored as an XCom, and too large for that
        :raises KafkaJobWaitFailed: the reader could not go on
        :raises RecordGone: the terminal record is no longer there
        :raises ResultUnreadable: the result is not what its media type says
        """
        if "error" in event:
            self._raise_wait_failure(event["error"], event["message"])
        location = RecordLocation(self._job.response_topic, event["partition"], event["offset"])
        operator = self._operator
        record = read_record(operator.kafka, location, operator.delivery_timeout)
        ended = self._end_in(record, event["state"])
        operator.log.info("Job %s: %s", ended.correlation_id, ended.state)
        if ended.error is not None and ended.error.details:
            details = block(ended.error.details, job_limits().details)
            operator.log.error("The worker's own details:\n%s", details)
        duration = ended.occurred_at.timestamp() - self._job.submitted_at
        job_metrics.completed(self._job.job_type, ended.state, duration)
        if operator.result_handler is None and operator.do_xcom_push and is_stored_by_airflow():
            require_fit(ended, location)
        return result_of(ended, location)

    def _end_in(self, record: Record, state: str) -> StatusEvent:
        try:
            return end_in(record, self._job)
        except RemoteProtocolError as error:
            if state == JobState.SUCCEEDED:  # a retry would find the same record
                raise exceptions.ResultUnreadable(error.reason, record.location) from error
            raise

    def _raise_wait_failure(self, error: str, message: str) -> NoReturn:
        words = f"{error}: {message}"
        if error not in {*_ADVICE, ErrorType.NOT_STARTED}:
            raise exceptions.KafkaJobWaitFailed(words)
        job_metrics.completed(self._job.job_type, error, None)
        if self._job.reply == Reply.PLAIN:
            words = f"{error}: no reply came in time"
        advice = self._diagnosis() if error == ErrorType.NOT_STARTED else _ADVICE[ErrorType(error)]
        if self._operator.cancel_on_kill:
            self._operator.cancel_job(self._job.correlation_id, words)
        raise exceptions.KafkaJobTimedOut(f"{words}. {advice}", ErrorType(error))

    def _diagnosis(self) -> str:
        operator = self._operator
        report = diagnose(operator.kafka, self._job.request_topic, operator.delivery_timeout)
        return f"{report} {SPRING_IS_SILENT}" if self._job.reply == Reply.PLAIN else str(report)


def end_in(record: Record, job: JobHandle) -> StatusEvent:
    """Return the terminal event of a job, which a record at a known place holds.

    :raises RecordGone: another job's is there
    :raises RemoteProtocolError: it is no terminal event
    """
    ended = plain_event(record) if job.reply == Reply.PLAIN else record.decode(StatusEvent)
    if ended is None or ended.correlation_id != job.correlation_id:
        whose = ended.correlation_id if ended else "it names none"
        raise RecordGone(
            f"record {record.location} belongs to another job ({whose}): "
            "was the topic deleted and made anew?"
        )
    return ended


def plain_event(record: Record) -> StatusEvent | None:
    """Return a plain reply as the terminal event that a worker would have sent.

    Returns None where neither header nor key says which job it is for.
    """
    event = plain_end(record.key, record.value, record.headers, _moment(record.timestamp_ms))
    return None if event is None else sanitized(event)


def _moment(timestamp_ms: int) -> datetime:
    """Return a record's timestamp; now, where its producer wrote one that no date has."""
    try:
        return datetime.fromtimestamp(timestamp_ms // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return utc_now()


def result_of(ended: StatusEvent, location: RecordLocation) -> Any:
    """Return the result of a job that has succeeded, as XCom can hold it.

    :raises KafkaJobFailed: the worker failed it
    :raises KafkaJobFailedForGood: the worker failed it, and trying again cannot help
    :raises KafkaJobCancelled: it was cancelled
    :raises ResultUnreadable: the result is not what its media type says
    :raises ResultNotStorable: it is nested too deep to be read
    """
    if ended.state is JobState.CANCELLED:
        raise exceptions.KafkaJobCancelled(ended.message or "the job was cancelled")
    if ended.state is not JobState.SUCCEEDED:
        raise _failure(ended)
    if ended.result is None and ended.result_ref is not None:
        return asdict(ended.result_ref)  # the claim check: the result itself lies elsewhere
    try:
        return from_bytes(ended.result, ended.result_type)
    except NestedTooDeep as error:
        fault = f"result: is nested too deep: {MAX_LEVELS} levels are the most"
        raise exceptions.ResultNotStorable(_not_storable(fault)) from error
    except ValueError as error:
        raise exceptions.ResultUnreadable(
            f"the result is not the {ended.result_type} that it is said to be: {error}", location
        ) from error


def storable(operator: BridgeOperator, value: Any, name: str = "result") -> Any:
    """Return a value that becomes an operator's XCom.

    An XCom backend of the deployment's own stores what it likes: then nothing is looked at.

    :param name: what to call the value in an error
    :raises ResultNotStorable: Airflow cannot store it; the error names the part
    """
    if operator.do_xcom_push and is_stored_by_airflow():
        fault = XCOM.first_fault(value, name)
        if fault is None and operator.multiple_outputs and isinstance(value, Mapping):
            fault = first_bad_output(value, name)
        if fault is not None:
            raise exceptions.ResultNotStorable(_not_storable(str(fault)))
    return value


def is_stored_by_airflow() -> bool:
    """Tell whether XComs go to Airflow's database, and not to an XCom backend."""
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.sdk.execution_time.xcom import XCom

    own: bool = XCom.serialize_value is BaseXCom.serialize_value
    return own


def _not_storable(fault: str) -> str:
    return f"the job has succeeded, but Airflow cannot store its result: {fault}. {STORE_ELSEWHERE}"


def _failure(ended: StatusEvent) -> Exception:
    if ended.error is not None:
        return exceptions.failed(ended.error)
    return exceptions.KafkaJobFailed(
        "FAILED", ended.message or "the worker gave no reason", None, retryable=True
    )
