"""What one job may bring into a real Airflow, and what its neighbours notice of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.ids import new_event_id
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent, utc_now
from kafka_bridge.protocol.topics import RESPONSE_TOPIC

from .runs import Run

MESSAGE_BYTES = 900_000
RESULT_BYTES = 1_010_000
"""More than an XCom may have, and less than a topic takes by default."""
LARGE = {"message.max.bytes": 2_000_000}
STALLED_SECONDS = 10.0
"""Where a triggerer's log carries eight such messages whole, its events wait for 25 s or more."""


def test_long_messages_hold_up_no_job_and_long_results_are_refused(
    begin: Callable[..., Run],
) -> None:
    """Eight jobs with messages of 0.9 MB hold up nobody; their results of 1 MB are refused.

    The message stands in the log cut to one line. The refusal says what to do, and is not retried.
    """
    run = begin("loud_jobs", "jobs.nobody")
    run.eventually(lambda: set(states(run).values()) == {"deferred"}, "all are deferred")
    *loud, bystander = sorted(run.requests(), key=lambda each: each.job_type == "test.quiet")
    with RecordProducer(KafkaConfig({"bootstrap.servers": run.servers, **LARGE})) as producer:

        def publish(request: JobRequest, state: JobState, **fields: Any) -> None:
            producer.publish(RESPONSE_TOPIC, *record(request, state, **fields), [])

        for _ in range(2):
            for each in loud:
                publish(each, JobState.RUNNING, message="first words " + "x" * MESSAGE_BYTES)
        publish(bystander, JobState.SUCCEEDED)
        published_at = time.monotonic()
        run.eventually(lambda: states(run)["bystander", -1] == "success", "it has ended")
        assert time.monotonic() - published_at < STALLED_SECONDS
        for each in loud:
            result = b'"' + b"y" * RESULT_BYTES + b'"'
            publish(each, JobState.SUCCEEDED, result=result, result_type="application/json")
    assert run.airflow.wait_for_run(run.dag_id, run.run_id, 240) == "failed"
    log = "\n".join(
        str(line) for line in run.airflow.task_log(run.dag_id, run.run_id, "loud", 1, 0)
    )
    assert "first words xxx" in log
    assert "(cut, 900,012 bytes in all)" in log
    assert "ResultTooLarge: the job succeeded, but its result of 1,010,002 bytes" in log
    assert "return its address" in log
    assert len(log) < 50_000
    tasks = run.airflow.task_instances(run.dag_id, run.run_id)
    assert {each["try_number"] for each in tasks} == {1}


def states(run: Run) -> dict[tuple[str, int], str | None]:
    """Return the state of each task of a run, by its id and map index."""
    tasks = run.airflow.task_instances(run.dag_id, run.run_id)
    return {(each["task_id"], each["map_index"]): each["state"] for each in tasks}


def record(request: JobRequest, state: JobState, **fields: Any) -> tuple[bytes, bytes]:
    """Return what a worker publishes about a job: key and value."""
    event = StatusEvent(
        correlation_id=request.correlation_id,
        event_id=new_event_id(),
        sequence=0,
        occurred_at=utc_now(),
        worker_id="w-1",
        state=state,
        **fields,
    )
    return request.correlation_id.encode(), encode(event)
