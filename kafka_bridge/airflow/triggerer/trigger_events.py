"""The events that triggers fire: only values that every part of Airflow can pass on and store.

An event goes through the triggerer's messages into a ``jsonb`` column. A value that cannot go there
kills the triggerer with all its triggers, and then the next triggerer that starts this trigger.
"""

from __future__ import annotations

import traceback
from typing import Any

from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from kafka_bridge.airflow import job_metrics
from kafka_bridge.airflow.limits import fits, job_limits
from kafka_bridge.airflow.outcomes import result_of
from kafka_bridge.airflow.specs import WaitSpec
from kafka_bridge.airflow.storable import XCOM
from kafka_bridge.airflow.task_log import TaskLog
from kafka_bridge.kafka.responses.subscriptions import Arrival
from kafka_bridge.protocol.errors import KafkaBridgeError
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.protocol.sanitize import ERROR_MESSAGE_BYTES, NAME_BYTES, block, one_line

TRACE_BYTES = 8_000
OTHER_FIELDS_BYTES = 100_000
"""An upper bound for the size of an event besides its result."""


def wait_failure(error: str, message: str) -> dict[str, Any]:
    """Return the event's payload for a wait that ended before the job finished.

    :param error: the timeout, or the type of the error that ended the wait
    :param message: what happened; it may quote text from a topic
    """
    return {"error": one_line(error, NAME_BYTES), "message": block(message, ERROR_MESSAGE_BYTES)}


def failure_event(error: Exception, log: TaskLog) -> TriggerEvent:
    """Return the event of a wait that an error ended; log the traceback of an unexpected error.

    If the trigger raised the error, Airflow would pass its traceback on unchanged: half a character
    in it, quoted from a record, kills the triggerer.
    """
    if not isinstance(error, KafkaBridgeError):
        _log_trace(log, "Waiting for the job failed unexpectedly", error)
    return TriggerEvent(wait_failure(type(error).__name__, str(error)))


def _log_trace(log: TaskLog, what: str, error: Exception) -> None:
    trace = "".join(traceback.format_exception(error))
    log.error("%s:\n%s", what, block(trace, TRACE_BYTES))


def success_event(spec: WaitSpec, end: Arrival, log: TaskLog) -> TaskSuccessEvent | None:
    """Return the event that finishes the task of a succeeded job, with its result as XCom.

    Returns None if the task must resume on a worker: the job did not succeed, or its result is too
    large, cannot be read, or does not fit into an event. On the worker, the task fails with a clear
    error. After any other error here the task resumes as well, because the job has succeeded.
    """
    try:
        return _success_event(spec, end)
    except KafkaBridgeError:
        return None
    except Exception as error:
        _log_trace(log, "Finishing the task in the triggerer failed; it resumes on a worker", error)
        return None


def _success_event(spec: WaitSpec, end: Arrival) -> TaskSuccessEvent | None:
    most = job_limits().result
    if end.head.state is not JobState.SUCCEEDED:
        return None
    if most is not None and len(end.value or b"") > most + OTHER_FIELDS_BYTES:
        return None  # not even decoded: that would block the event loop of all tasks
    ended = end.event()
    if not fits(ended):
        return None
    result = result_of(ended, end.location)
    if XCOM.first_fault(result, "result") is not None:
        return None
    duration = ended.occurred_at.timestamp() - spec.submitted_at
    job_metrics.completed(spec.job_type, ended.state, duration, triggerer=True)
    return TaskSuccessEvent(xcoms=None if result is None else {"return_value": result})
