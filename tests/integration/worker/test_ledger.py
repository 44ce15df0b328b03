"""What a snapshot of the ledger says of the events that stand in a response topic."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from integration.jobs import config_of, event
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import TopicNotFound
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.testing import Broker
from kafka_bridge.worker.runtime.ledger_snapshot import Unfinished, read_snapshot

S = JobState
LIVES: list[tuple[list[tuple[JobState, int]], Unfinished | None]] = [
    ([(S.SUCCEEDED, 1)], None),
    ([(S.ACCEPTED, 1), (S.RUNNING, 1), (S.FAILED, 1)], None),
    ([(S.ACCEPTED, 1), (S.CANCELLED, 1), (S.ACCEPTED, 2), (S.RUNNING, 2)], None),
    ([(S.ACCEPTED, 1)], Unfinished(1, 0)),
    ([(S.RUNNING, 3), (S.ACCEPTED, 2)], Unfinished(3, 0)),
    ([(S.ACCEPTED, 1), (S.RELEASED, 1)], Unfinished(1, 1)),
    ([(S.ACCEPTED, 1), (S.RELEASED, 1), (S.ACCEPTED, 2), (S.RELEASED, 2)], Unfinished(2, 2)),
    ([(S.ACCEPTED, 1), (S.RELEASED, 1), (S.ACCEPTED, 2)], Unfinished(2, 1)),
]
"""What was said of a job, and what is known of it then; None: it is finished."""


@pytest.mark.parametrize("encoding", [Encoding.AVRO, Encoding.JSON])
def test_snapshot_has_finished_and_begun_jobs(
    real_broker: Broker, producer: RecordProducer, topics: Callable[..., str], encoding: Encoding
) -> None:
    """And how often, and how often it was handed back; what no worker wrote is passed over."""
    topic = topics("responses", 2)
    lives = {new_correlation_id(): life for life in LIVES}
    for job, (said, _) in lives.items():
        for state, delivery in said:
            value = encode(event(job, state, delivery=delivery), encoding)
            producer.publish(topic, job.encode(), value, [])
    for foreign in (b"a plain reply", None):
        producer.publish(topic, new_correlation_id().encode(), foreign, [])
    snapshot = read_snapshot(config_of(real_broker.bootstrap_servers), topic, 0.0, 7)
    assert {job for job, (_, known) in lives.items() if known is None} == {
        job for job in lives if job.encode() in snapshot.finished
    }
    assert {job: known for job, (_, known) in lives.items() if known is not None} == {
        key.decode(): known for key, known in snapshot.unfinished.items()
    }
    assert (snapshot.epoch, snapshot.since, snapshot.failure) == (7, 0.0, None)
    assert snapshot.records == sum(len(said) for said, _ in LIVES) + 2


def test_snapshot_starts_at_the_given_offset(
    real_broker: Broker, producer: RecordProducer, topics: Callable[..., str]
) -> None:
    """What is older than every request at hand is not read; an empty topic is soon read."""
    topic, config = topics("responses", 2), config_of(real_broker.bootstrap_servers)
    assert read_snapshot(config, topic, 0.0, 1).records == 0
    job = new_correlation_id()
    producer.publish(topic, job.encode(), encode(event(job), Encoding.AVRO), [])
    assert job.encode() in read_snapshot(config, topic, time.time() - 60, 1).finished
    assert read_snapshot(config, topic, time.time() + 60, 1).records == 0


def test_snapshot_has_the_external_id_of_a_job(
    real_broker: Broker, producer: RecordProducer, topics: Callable[..., str]
) -> None:
    """As the latest event of its last delivery says, whoever wrote that in between."""
    topic = topics("responses", 1)
    lives: dict[str, list[tuple[int, str | None]]] = {
        "batch-2": [(1, None), (1, "batch-1"), (2, "batch-1"), (2, "batch-2"), (1, "batch-1")],
        "unnamed": [(1, None)],
    }
    jobs = {new_correlation_id(): name for name in lives}
    for job, name in jobs.items():
        for delivery, external_id in lives[name]:
            said = event(job, S.RUNNING, delivery=delivery, external_id=external_id)
            producer.publish(topic, job.encode(), encode(said, Encoding.AVRO), [])
    snapshot = read_snapshot(config_of(real_broker.bootstrap_servers), topic, 0.0, 1)
    known = {jobs[key.decode()]: each.external_id for key, each in snapshot.unfinished.items()}
    assert known == {"batch-2": "batch-2", "unnamed": None}


def test_missing_topic_is_distinct_from_an_empty_one(real_broker: Broker) -> None:
    """Nobody could be told of the jobs' ends: it is an error, with the topic's name."""
    with pytest.raises(TopicNotFound, match=r"topic 'no\.such\.topic' does not exist"):
        read_snapshot(config_of(real_broker.bootstrap_servers), "no.such.topic", 0.0, 1)
