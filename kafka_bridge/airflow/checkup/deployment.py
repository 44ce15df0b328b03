"""Airflow's own settings that matter to tasks that wait for jobs."""

from __future__ import annotations

from collections.abc import Iterator

from kafka_bridge.airflow.arguments import deferrable
from kafka_bridge.airflow.compat import conf
from kafka_bridge.airflow.outcomes import is_stored_by_airflow
from kafka_bridge.airflow.resume_delay import usual_resume_delay
from kafka_bridge.findings import Finding, ok, warning


def waiting(_: float) -> Iterator[Finding]:
    """Yield where tasks wait, how many of them, and how long a deferral takes at least."""
    if deferrable(None):
        yield ok("[operators] default_deferrable is True: tasks wait in a triggerer")
    else:
        yield warning(
            "[operators] default_deferrable is False: a task that waits for a job holds a worker "
            "slot",
            "Set it to True if a triggerer runs, or set deferrable=True on tasks.",
        )
    capacity = conf.get("triggerer", "capacity", fallback="1000")
    yield ok(f"each triggerer waits for at most {capacity} tasks ([triggerer] capacity)")
    delay = usual_resume_delay()
    yield ok(
        f"a task that defers is resumed after {delay:g} s or later; [workers] "
        "min_heartbeat_interval is part of this time"
    )


def xcom(_: float) -> Iterator[Finding]:
    """Yield where results are stored."""
    name = conf.get("core", "xcom_backend", fallback="")
    if is_stored_by_airflow():
        yield ok(
            "results are stored in Airflow's database; [kafka_bridge] max_result_bytes limits them"
        )
    else:
        yield ok(
            f"[core] xcom_backend is {name}: it stores results, so max_result_bytes has no effect"
        )
