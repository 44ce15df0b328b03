"""One DAG for each way in which a task and its job can part."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, NoReturn

from airflow.sdk import DAG, Context

from kafka_bridge.airflow import KafkaJobBatchOperator, KafkaJobOperator

LONG = 240
"""Seconds: so long, a task does not defer while a test looks at it."""


def die(*_: Any) -> NoReturn:
    """End this process as a lost machine does."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody survives this")


class DiesBeforeDeferral(KafkaJobOperator):
    """The first try's process dies when the job is published and its task not deferred yet."""

    def wait_for(self, context: Context, job: Any) -> Any:
        """Die, or wait."""
        if context["ti"].try_number == 1:
            die()
        return super().wait_for(context, job)


class DiesAfterItsWait(KafkaJobOperator):
    """The first try's process dies when it has waited for its job and is about to defer."""

    def stop_if_ended(self, context: Context) -> None:
        """Die, or do as the operator does."""
        if context["ti"].try_number == 1:
            die()
        super().stop_if_ended(context)


class DiesBeforePublish(KafkaJobOperator):
    """The first try's process dies when the job is made and not published yet."""

    def execute(self, context: Context) -> Any:
        """Die on the way, or do as the operator does."""
        from kafka_bridge.kafka.producer import RecordProducer

        if context["ti"].try_number == 1:
            setattr(RecordProducer, "publish", die)  # noqa: B010  mypy knows that it is none
        return super().execute(context)


def one(
    dag_id: str, job_type: str, kind: type[KafkaJobOperator] = KafkaJobOperator, **arguments: Any
) -> None:
    """Make a DAG of one task."""
    common = {"request_topic": "patient.requests", "retry_delay": 0, "heartbeat_interval": 1}
    with DAG(dag_id=dag_id, schedule=None):
        kind(task_id="work", job_type=job_type, **{**common, **arguments})


one("dies_before_deferral", "patient.works", DiesBeforeDeferral, payload=12, retries=1)
one(
    "dies_after_its_wait",
    "patient.works",
    DiesAfterItsWait,
    payload=12,
    retries=1,
    wait_before_deferring=2,
)
one("dies_before_publish", "patient.works", DiesBeforePublish, payload=0, retries=1)
one("first_fails", "patient.first_fails", retries=1)
one("cleared", "patient.first_waits")
one("cleared_while_running", "patient.first_waits", deferrable=False)
one("cleared_before_deferral", "patient.first_waits", wait_before_deferring=LONG)
one("marked_failed", "patient.waits")
one("marked_success", "patient.waits")
one("killed_while_running", "patient.waits", deferrable=False)
one("failed_before_deferral", "patient.waits", wait_before_deferring=LONG)
one("succeeded_before_deferral", "patient.waits", wait_before_deferring=LONG)
one("left_alone", "patient.waits", cancel_on_kill=False)
one("unseen", "patient.waits")
one("moved", "patient.works_until", payload=str(Path(__file__).parent / "moved.done"))

one("overdue", "patient.waits", start_to_close_timeout=5)
one("stalled", "patient.waits", progress_timeout=2)
one("out_of_time", "patient.waits_at_last", schedule_to_close_timeout=60, retries=9)
one("silent", "patient.nothing", request_topic="jobs.nobody", heartbeat_timeout=2)
one("nobody", "patient.nothing", request_topic="jobs.nobody", schedule_to_start_timeout=2)

with DAG(dag_id="unseen_batch", schedule=None):
    KafkaJobBatchOperator(
        task_id="work",
        job_type="patient.waits",
        payloads=[None] * 3,
        request_topic="patient.requests",
    )

with DAG(dag_id="batch_before_deferral", schedule=None):
    KafkaJobBatchOperator(
        task_id="work",
        job_type="patient.waits",
        payloads=[None] * 3,
        request_topic="patient.requests",
        on_failure="collect",
        wait_before_deferring=LONG,
    )

for dag_id, job_type in (("hundred_jobs", "patient.numbers"), ("hundred_waiting", "patient.waits")):
    with DAG(dag_id=dag_id, schedule=None):
        KafkaJobOperator.partial(
            task_id="work",
            job_type=job_type,
            request_topic="patient.requests",
            wait_before_deferring=0,
        ).expand(payload=list(range(100)))
