"""The event that ends a task in the triggerer, with no worker started for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.triggers.base import TaskSuccessEvent

from kafka_bridge.airflow import job_metrics
from kafka_bridge.airflow.outcomes import result_of
from kafka_bridge.protocol.errors import KafkaBridgeError
from kafka_bridge.protocol.messages import JobState

if TYPE_CHECKING:
    from kafka_bridge.airflow.triggers import KafkaJobTrigger
    from kafka_bridge.kafka.notices import Arrival


def success_event(trigger: KafkaJobTrigger, end: Arrival) -> TaskSuccessEvent | None:
    """Return what ends the task of a job that has succeeded, with its result as XCom.

    Returns None where a worker must see to it: the job did not succeed, or its result cannot be
    read. There the task fails in words, and its retries apply.
    """
    if end.head.state is not JobState.SUCCEEDED:
        return None
    try:
        ended = end.event()
        result = result_of(ended, end.location)
    except KafkaBridgeError:
        return None
    duration = ended.occurred_at.timestamp() - trigger.submitted_at
    job_metrics.completed(trigger.job_type, ended.state, duration, triggerer=True)
    return TaskSuccessEvent(xcoms=None if result is None else {"return_value": result})
