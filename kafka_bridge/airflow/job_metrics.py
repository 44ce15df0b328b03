"""Metrics of jobs through Airflow's own metrics (statsd, OpenTelemetry, Datadog).

Counters: ``kafka_bridge.job.submitted`` (tag ``job_type``) and ``kafka_bridge.job.completed`` (tags
``job_type`` and ``outcome``). Timing: ``kafka_bridge.job.duration``, from the request to the end,
with the tags of ``completed``.
"""

from __future__ import annotations

from datetime import timedelta

from kafka_bridge.airflow.compat import stats

PREFIX = "kafka_bridge.job."


def submitted(job_type: str, count: int = 1) -> None:
    """Count requests that the brokers have acknowledged."""
    stats(triggerer=False).incr(f"{PREFIX}submitted", count, tags={"job_type": job_type})


def completed(
    job_type: str,
    outcome: str,
    duration: float | None,
    *,
    count: int = 1,
    triggerer: bool = False,
) -> None:
    """Count finished jobs.

    :param outcome: the job's state, or the reserved error type of a timeout
    :param duration: seconds from the request to the end, where they are known
    :param triggerer: whether this is a triggerer, whose metrics Airflow separates from those of
        tasks
    """
    sink = stats(triggerer=triggerer)
    tags = {"job_type": job_type, "outcome": outcome.lower()}
    sink.incr(f"{PREFIX}completed", count, tags=tags)
    if duration is not None:
        sink.timing(f"{PREFIX}duration", timedelta(seconds=max(0.0, duration)), tags=tags)
