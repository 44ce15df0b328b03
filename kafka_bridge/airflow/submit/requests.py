"""A task's spec as a job request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from kafka_bridge.airflow.source import deployment_source
from kafka_bridge.airflow.specs import JobSpec
from kafka_bridge.airflow.submit.payload_model import PayloadModel
from kafka_bridge.payloads import to_bytes
from kafka_bridge.protocol.ids import new_job_id, task_prefix
from kafka_bridge.protocol.messages import JobRequest, Task, utc_now, whole_milliseconds


def new_request(
    spec: JobSpec, ti: Any, attempt: int, first_submitted_at: float | None = None
) -> JobRequest:
    """Return a request with a new correlation id, created now.

    It expires after ``schedule_to_start_timeout``: a job must not start later. Its deadline is
    ``start_to_close_timeout`` after that, or when ``schedule_to_close_timeout`` passes, if that is
    earlier.

    :param first_submitted_at: when the task submitted its first job, seconds since 1970; None: this
        is the first one
    :raises InvalidPayload: the payload does not match ``payload_model``
    :raises PayloadNotSerialisable: the payload has no JSON form
    :raises InvalidMessage: a field breaks the protocol
    """
    payload, payload_type = to_bytes(_fitted(spec), "payload")
    now = utc_now()
    first = now if first_submitted_at is None else datetime.fromtimestamp(first_submitted_at, UTC)
    expires_at = _later(now, spec.schedule_to_start_timeout)
    ends = (
        _later(expires_at, spec.start_to_close_timeout),
        _later(first, spec.schedule_to_close_timeout),
    )
    return JobRequest(
        correlation_id=new_job_id(prefix_of(ti)),
        attempt=attempt,
        job_type=spec.job_type,
        payload=payload,
        payload_type=payload_type,
        response_topic=spec.response_topic,
        created_at=now,
        expires_at=expires_at,
        deadline=min((end for end in ends if end is not None), default=None),
        heartbeat_interval_ms=max(1, int(spec.heartbeat_interval * 1000)),  # 0 would mean none
        task=task_of(ti),
    )


def _later(moment: datetime | None, seconds: float | None) -> datetime | None:
    if moment is None or not seconds:
        return None
    return whole_milliseconds(moment + timedelta(seconds=seconds))


def _fitted(spec: JobSpec) -> Any:
    if spec.payload_model is None:
        return spec.payload
    return PayloadModel(spec.payload_model).fitted(spec.payload, "the payload")


def task_of(ti: Any) -> Task:
    """Return the task instance as requests name it."""
    return Task(
        source=deployment_source(),
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=ti.map_index if ti.map_index is not None else -1,
        try_number=ti.try_number,
        url=getattr(ti, "log_url", None),
    )


def prefix_of(ti: Any) -> str:
    """Return what the ids of all jobs of a task instance begin with, from try to try."""
    task = task_of(ti)
    return task_prefix(task.source, task.dag_id, task.run_id, task.task_id, task.map_index)
