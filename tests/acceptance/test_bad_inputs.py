"""Every mistake that a person can make is an error in words, in the task's log."""

from __future__ import annotations

import pytest

from kafka_bridge.testing.local_airflow import LocalAirflow

WORDS = {
    "not_serialisable": [
        "PayloadNotSerialisable: payload['files'][0]['x'] cannot be written as JSON",
        "of type NoJson",
    ],
    "too_large": [
        "RecordTooLarge: a record of 2,000,",
        "is too large for topic 'jobs.requests': the producer's 'message.max.bytes' is 1,000,000.",
        "Put large data elsewhere and send a reference to it",
    ],
    "no_topic": [
        "TopicNotFound: topic 'jobs.nowhere' does not exist",
        "kafka-bridge topics create",
    ],
    "no_broker": ["BrokerUnreachable: no Kafka broker answered at 127.0.0.1:9 "],
    "no_connection": [
        "ConfigurationError: Airflow has no usable connection 'nothing'",
        '{"bootstrap.servers": "…"}',
    ],
    "unknown_job_type": [
        "unknown_job_type: this worker has no handler for job type 'test.nothing'"
    ],
}


@pytest.fixture(scope="module")
def run_id(airflow: LocalAirflow, workers: object) -> str:
    """One run of all the mistakes."""
    run_id = airflow.trigger("bad_inputs")
    assert airflow.wait_for_run("bad_inputs", run_id, 240) == "failed"
    return run_id


@pytest.mark.parametrize("mistake", WORDS)
def test_mistake_fails_the_task_once_and_says_what_to_do(
    airflow: LocalAirflow, run_id: str, mistake: str
) -> None:
    """The task fails, once, and its log says what is wrong and what to do."""
    (task,) = [t for t in airflow.task_instances("bad_inputs", run_id) if t["task_id"] == mistake]
    assert task["state"] == "failed"
    assert task["try_number"] == 1
    log = "\n".join(str(line) for line in airflow.task_log("bad_inputs", run_id, mistake))
    for words in WORDS[mistake]:
        assert words in log
