"""Figures of jobs through Airflow's own metrics (statsd, OpenTelemetry, Datadog).

Counters: ``kafka_bridge.job.submitted`` (tag ``job_type``) and ``kafka_bridge.job.completed`` (tags
``job_type`` and ``outcome``). Timing: ``kafka_bridge.job.duration``, from the request to the end,
with the tags of ``completed``.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

PREFIX = "kafka_bridge.job."


def submitted(job_type: str, count: int = 1) -> None:
    """Count requests that the brokers have."""
    from airflow.sdk.observability import stats

    stats.incr(f"{PREFIX}submitted", count, tags={"job_type": job_type})


def completed(
    job_type: str,
    outcome: str,
    duration: float | None,
    *,
    count: int = 1,
    triggerer: bool = False,
) -> None:
    """Count the end of a job, or of so many.

    :param outcome: the job's state or the reserved error type, in lower case
    :param duration: seconds from the request to the end, where they are known
    :param triggerer: whether this is a triggerer, whose metrics Airflow keeps apart from tasks'
    """
    stats = import_module(f"airflow{'' if triggerer else '.sdk'}.observability.stats")
    tags = {"job_type": job_type, "outcome": outcome.lower()}
    stats.incr(f"{PREFIX}completed", count, tags=tags)
    if duration is not None:
        stats.timing(f"{PREFIX}duration", timedelta(seconds=max(0.0, duration)), tags=tags)
