"""One batch task against mapped tasks: whole DAG runs on a real Airflow (SQLite, one machine).

Ten thousand no-op jobs as one ``KafkaJobBatchOperator``, and a hundred as mapped
``KafkaJobOperator`` tasks. The time for jobs/s is that of the whole DAG run, with the task that
creates the payloads. The same process runs the jobs of both. This takes minutes, so it is measured
only in the long form.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.airflow_on_kafka import airflow_on_kafka, successful_run
from bench.measure import Result, Round, Scale
from bench.responder import responder
from bench.traffic import new_topic
from kafka_bridge.testing.local_airflow import LocalAirflow

BATCH_JOBS = 10_000
MAPPED_JOBS = 100
ROUNDS = 2
RUN_SECONDS = 600.0


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the row."""
    if scale.short:
        return []
    result = Result(
        f"{BATCH_JOBS:,} no-op jobs as one batch task on a real Airflow: jobs/s of the DAG run",
        f"{MAPPED_JOBS} mapped KafkaJobOperator tasks",
        "jobs/s",
        None,
    )
    with (
        airflow_on_kafka(servers) as airflow,
        new_topic(servers) as requests,
        new_topic(servers) as responses,
        responder(servers, requests),
    ):
        topics = {"request_topic": requests, "response_topic": responses}
        for number in range(ROUNDS):
            say(f"one batch and {MAPPED_JOBS} mapped tasks, round {number + 1}")
            ours = BATCH_JOBS / _time_run(airflow, "bench_batch", BATCH_JOBS, topics)
            peer = MAPPED_JOBS / _time_run(airflow, "bench_mapped", MAPPED_JOBS, topics)
            result.rounds.append(Round(ours, peer))
    return [result]


def _time_run(airflow: LocalAirflow, dag_id: str, count: int, topics: dict[str, str]) -> float:
    begin = time.perf_counter()
    successful_run(airflow, dag_id, {"count": count, **topics}, RUN_SECONDS)
    return time.perf_counter() - begin
