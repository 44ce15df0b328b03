"""What a job came to, as a task's result or the exception that the task raises."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NoReturn

from kafka_bridge.airflow import exceptions
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import read_record
from kafka_bridge.payloads import from_bytes
from kafka_bridge.protocol.errors import RecordGone, RecordLocation, Undecodable
from kafka_bridge.protocol.messages import ErrorType, JobState, StatusEvent

_TIME_OUTS = {ErrorType.NOT_STARTED, ErrorType.WORKER_LOST, ErrorType.DEADLINE_EXCEEDED}


def raise_wait_failure(event: dict[str, Any]) -> NoReturn:
    """Raise what a trigger's event says when the wait, not the job, has ended.

    :raises KafkaJobTimedOut: by a waiting rule
    :raises KafkaJobWaitFailed: because the reader could not go on
    """
    words = f"{event['error']}: {event['message']}"
    if event["error"] in _TIME_OUTS:
        raise exceptions.KafkaJobTimedOut(words)
    raise exceptions.KafkaJobWaitFailed(words)


def read_end(
    config: KafkaConfig, location: RecordLocation, correlation_id: str | None, timeout: float
) -> StatusEvent:
    """Return the terminal event of a job, which lies at a known place.

    :param correlation_id: the job, or None where it is not known
    :param timeout: seconds
    :raises RecordGone: it is not there, or another job's is
    """
    ended = read_record(config, location, timeout).decode(StatusEvent)
    if correlation_id not in (None, ended.correlation_id):
        raise RecordGone(
            f"record {location} belongs to another job ({ended.correlation_id}): "
            "was the topic deleted and made anew?"
        )
    return ended


def result_of(ended: StatusEvent, location: RecordLocation) -> Any:
    """Return the result of a job that has succeeded, as XCom can hold it.

    :raises KafkaJobFailed: the worker failed it
    :raises KafkaJobFailedForGood: the worker failed it, and trying again cannot help
    :raises KafkaJobCancelled: it was cancelled
    :raises Undecodable: the result is not what its media type says
    """
    if ended.state is JobState.CANCELLED:
        raise exceptions.KafkaJobCancelled(ended.message or "the job was cancelled")
    if ended.state is not JobState.SUCCEEDED:
        raise _failure(ended)
    if ended.result is None and ended.result_ref is not None:
        return asdict(ended.result_ref)  # the claim check: the result itself lies elsewhere
    try:
        return from_bytes(ended.result, ended.result_type)
    except ValueError as error:
        raise Undecodable(
            f"the result is not the {ended.result_type} that it is said to be: {error}", location
        ) from error


def _failure(ended: StatusEvent) -> Exception:
    if ended.error is not None:
        return exceptions.failed(ended.error)
    return exceptions.KafkaJobFailed(
        "FAILED", ended.message or "the worker gave no reason", None, retryable=True
    )
