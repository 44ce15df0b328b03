"""The events that triggers fire: only what every part of Airflow can carry and store.

An event goes through the triggerer's messages into a ``jsonb`` column. What cannot go there ends
the triggerer with all its triggers, and the next triggerer that takes this trigger over.
"""

from __future__ import annotations

import traceback
from typing import Any

from airflow.triggers.base import TaskSuccessEvent

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
"""More than an event takes besides its result."""


def wait_failure(error: str, message: str) -> dict[str, Any]:
    """Return the payload of the event that a wait ended without the job's end.

    :param error: the waiting rule, or the type of the error that ended the wait
    :param message: what happened; it may quote text from a topic
    """
    return {"error": one_line(error, NAME_BYTES), "message": block(message, ERROR_MESSAGE_BYTES)}


def unexpected_failure(log: TaskLog, error: Exception) -> dict[str, Any]:
    """Return the payload for an error that nobody expected, and log where it came from.

    Raised instead, Airflow would send its traceback as it is: half a character in it, quoted from
    a record, and the triggerer ends.
    """
    _log_trace(log, "Waiting for the job failed unexpectedly", error)
    return wait_failure(type(error).__name__, str(error))


def _log_trace(log: TaskLog, what: str, error: Exception) -> None:
    trace = "".join(traceback.format_exception(error))
    log.error("%s:\n%s", what, block(trace, TRACE_BYTES))


def success_event(spec: WaitSpec, end: Arrival, log: TaskLog) -> TaskSuccessEvent | None:
    """Return what ends the task of a job that has succeeded, with its result as XCom.

    Returns None where the task needs a worker: the job did not succeed, or its result is too
    large, or cannot be read, or an event cannot hold it. There the task fails with a clear error.
    So it is where anything else goes wrong here: the job has succeeded, and a worker finds out.
    """
    try:
        return _success_event(spec, end)
    except KafkaBridgeError:
        return None
    except Exception as error:
        _log_trace(log, "The task could not be ended in the triggerer", error)
        return None


def _success_event(spec: WaitSpec, end: Arrival) -> TaskSuccessEvent | None:
    most = job_limits().result
    if end.head.state is not JobState.SUCCEEDED:
        return None
    if most is not None and len(end.value or b"") > most + OTHER_FIELDS_BYTES:
        return None  # not even decoded, on the event loop of all tasks
    ended = end.event()
    if not fits(ended):
        return None
    result = result_of(ended, end.location)
    if XCOM.first_fault(result, "result") is not None:
        return None
    duration = ended.occurred_at.timestamp() - spec.submitted_at
    job_metrics.completed(spec.job_type, ended.state, duration, triggerer=True)
    return TaskSuccessEvent(xcoms=None if result is None else {"return_value": result})
