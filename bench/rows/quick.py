"""Quick jobs on a real Airflow: chains of three tasks, and what a deferral costs.

*A chain of three*: three tasks in a row with a no-op job each, and three empty ``@task`` functions
in a row. The time is that of the DAG run, by Airflow's own clock.

*Slot-seconds*: two mapped tasks with a job of some length each. Counted is the time in which a task
is queued or running, by Airflow's API. A task defers at once, or after the default of
``wait_before_deferring``, or never (``deferrable=False``).

The short form leaves out the slot-seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from bench.airflow_on_kafka import airflow_on_kafka, successful_run
from bench.measure import Result, Round, Scale, Target
from bench.responder import responder
from bench.traffic import new_topic
from kafka_bridge.testing.local_airflow import LocalAirflow

JOBS = 2
ROUNDS = 2
RUN_SECONDS = 120.0
LOOK_SECONDS = 0.1
LENGTHS = (0.0, 1.0, 1.5, 2.5, 4.0, 8.0)
"""Lengths of jobs, in seconds."""
NEVER = "`deferrable=False`"
WHERE_TIME_GOES = (
    "A task with a job takes 0.22 s of CPU in its process, an empty one 0.11 s. The difference is "
    "nearly all imports: the Kafka client, Avro and the bridge. Publishing and waiting take 0.02 s "
    "of it, and 0.1 s of time. Airflow's API answers four more requests"
)
EMPTY = "three empty @task functions"
HOLDS_A_SLOT = frozenset({"queued", "running"})
ENDED = frozenset({"success", "failed"})


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the rows."""
    with (
        airflow_on_kafka(servers) as airflow,
        new_topic(servers) as requests,
        new_topic(servers) as responses,
        responder(servers, requests),
    ):
        topics = {"request_topic": requests, "response_topic": responses}
        rows = _chains(airflow, topics, scale, say)
        return rows if scale.short else [*rows, *_slot_seconds(airflow, topics, say)]


def _chains(
    airflow: LocalAirflow, topics: dict[str, str], scale: Scale, say: Callable[[str], None]
) -> list[Result]:
    what = "a chain of three tasks with a no-op job each, "
    rows = {
        "default": Result(
            f"{what}`deferrable=True`",
            EMPTY,
            "s",
            Target("<=", 2.0),
            explanation=WHERE_TIME_GOES,
            summary="Three tasks in a row with a quick job each take {ours}. Three empty tasks, "
            "which do nothing at all, take {peer}.",
        ),
        "in_slot": Result(
            f"{what}`deferrable=False`", EMPTY, "s", Target("<=", 1.7), explanation=WHERE_TIME_GOES
        ),
        "at_once": Result(f"{what}`wait_before_deferring=0`", EMPTY, "s", None),
    }
    for number in range(scale.rounds() + 1):
        say(f"quick jobs: chains, round {number}")
        empty = _time_run(airflow, "bench_chain_empty", topics)
        for way, row in rows.items():
            took = _time_run(airflow, f"bench_chain_{way}", topics)
            if number:  # the first round fills the caches of the processes
                row.rounds.append(Round(took, empty))
    return list(rows.values())


def _slot_seconds(
    airflow: LocalAirflow, topics: dict[str, str], say: Callable[[str], None]
) -> list[Result]:
    rows = []
    for seconds in LENGTHS:
        default, at_once = (
            Result(
                f"slot-seconds of a task with a job of {seconds:g} s, {how}",
                NEVER,
                "slot-seconds",
                None,
                point=(how, seconds),
            )
            for how in ("by default", "`wait_before_deferring=0`")
        )
        for number in range(ROUNDS):
            say(f"quick jobs: slot-seconds, jobs of {seconds:g} s, round {number + 1}")
            held = {
                way: _count_slot_seconds(airflow, f"bench_sleeps_{way}", seconds, topics)
                for way in ("in_slot", "default", "at_once")
            }
            default.rounds.append(Round(held["default"], held["in_slot"]))
            at_once.rounds.append(Round(held["at_once"], held["in_slot"]))
        rows += [default, at_once]
    return rows


def _time_run(airflow: LocalAirflow, dag_id: str, topics: dict[str, str]) -> float:
    run_id = successful_run(airflow, dag_id, topics, RUN_SECONDS)
    run = airflow.api.get(f"dags/{dag_id}/dagRuns/{run_id}")
    begin, end = (datetime.fromisoformat(run[name]) for name in ("start_date", "end_date"))
    return (end - begin).total_seconds()


def _count_slot_seconds(
    airflow: LocalAirflow, dag_id: str, seconds: float, topics: dict[str, str]
) -> float:
    """Run tasks with a job each; return the slot-seconds of one, on average."""
    conf: dict[str, Any] = {**topics, "seconds": seconds, "count": JOBS}
    run_id = airflow.trigger(dag_id, conf=conf)
    total, looked = 0.0, time.monotonic()
    give_up = looked + RUN_SECONDS
    while airflow.run_state(dag_id, run_id) not in ENDED:
        if time.monotonic() > give_up:
            raise RuntimeError(airflow.run_report(dag_id, run_id))
        tasks = airflow.task_instances(dag_id, run_id)
        now = time.monotonic()
        holding = [each["task_id"] == "work" and each["state"] in HOLDS_A_SLOT for each in tasks]
        total += sum(holding) * (now - looked)
        looked = now
        time.sleep(LOOK_SECONDS)
    if airflow.run_state(dag_id, run_id) != "success":
        raise RuntimeError(airflow.run_report(dag_id, run_id))
    return total / JOBS
