"""An operator's arguments and its task as a job request."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.configuration import conf

from kafka_bridge.airflow.settings import configured
from kafka_bridge.airflow.submit.payload_model import PayloadModel
from kafka_bridge.payloads import to_bytes
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobRequest, Task, utc_now, whole_milliseconds

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from kafka_bridge.airflow.publish import KafkaJobPublishOperator
    from kafka_bridge.airflow.submit.stored_job import StoredJob


def new_request(operator: KafkaJobPublishOperator, context: Context, attempt: int) -> JobRequest:
    """Return a request under a new correlation id, made now.

    It expires when the job may no longer start (``schedule_to_start_timeout``), and its deadline is
    when the latest start would have to have ended (``start_to_close_timeout`` after that).

    :raises InvalidPayload: the payload does not fit ``payload_model``
    :raises PayloadNotSerialisable: the payload has no JSON form
    :raises InvalidMessage: a field breaks the protocol
    """
    payload, payload_type = to_bytes(_fitted(operator), "payload")
    now = utc_now()
    expires_at = _later(now, operator.schedule_to_start_timeout)
    return JobRequest(
        correlation_id=new_correlation_id(),
        attempt=attempt,
        job_type=operator.job_type,
        payload=payload,
        payload_type=payload_type,
        response_topic=operator.response_topic,
        created_at=now,
        expires_at=expires_at,
        deadline=_later(expires_at, operator.start_to_close_timeout),
        heartbeat_interval_ms=max(1, int(operator.heartbeat_interval * 1000)),  # 0 asks for none
        task=task_of(context),
    )


def same_request(operator: KafkaJobPublishOperator, context: Context, job: StoredJob) -> JobRequest:
    """Return the request of a job that was stored, and may or may not have been published.

    Workers know jobs by their id, and look from ``created_at`` on for what they did of them.
    """
    request = new_request(operator, context, job.attempt)
    shift = whole_milliseconds(job.created) - request.created_at
    return replace(
        request,
        correlation_id=job.correlation_id,
        response_topic=job.response_topic,
        created_at=request.created_at + shift,
        expires_at=request.expires_at and request.expires_at + shift,
        deadline=request.deadline and request.deadline + shift,
    )


def _later(moment: datetime | None, seconds: float | None) -> datetime | None:
    if moment is None or not seconds:
        return None
    return whole_milliseconds(moment + timedelta(seconds=seconds))


def _fitted(operator: KafkaJobPublishOperator) -> Any:
    if operator.payload_model is None:
        return operator.payload
    return PayloadModel(operator.payload_model).fitted(operator.payload, "the payload")


def task_of(context: Context) -> Task:
    """Return the task that asks, as requests name it."""
    instance = context["ti"]
    return Task(
        source=configured("source") or conf.get("api", "base_url", fallback=None) or "airflow",
        dag_id=instance.dag_id,
        run_id=instance.run_id,
        task_id=instance.task_id,
        map_index=instance.map_index if instance.map_index is not None else -1,
        try_number=instance.try_number,
        url=getattr(instance, "log_url", None),
    )
