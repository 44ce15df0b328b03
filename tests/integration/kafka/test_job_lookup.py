"""Requests and their ends, looked up in a real Kafka."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from integration.jobs import WAIT_SECONDS, config_of, event, request
from kafka_bridge.kafka.lookups.job_lookup import requests_of, terminal_states
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import TopicNotFound
from kafka_bridge.protocol.ids import new_job_id, task_prefix
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.testing import Broker

if TYPE_CHECKING:
    from conftest import TopicFactory

MINE = task_prefix("s", "d", "r", "mine", -1)


def test_requests_of_a_task_are_found_among_those_of_others(
    real_broker: Broker, topics: TopicFactory
) -> None:
    """On all partitions, with their headers, from a time on that may be a minute wrong."""
    config, topic = config_of(real_broker.bootstrap_servers), topics("q", partitions=3)
    others = [task_prefix("s", "d", "r", str(number), -1) for number in range(200)]
    mine = [new_job_id(MINE) for _ in range(10)]
    began = datetime.now(UTC)
    with RecordProducer(config) as producer:
        for number, job in enumerate([*map(new_job_id, others), *mine, *map(new_job_id, others)]):
            value = encode(request("x", "a", correlation_id=job))
            producer.send(topic, job.encode(), value, [("n", str(number).encode())])

    def found(since: datetime) -> dict[str, str]:
        records = requests_of(config, topic, MINE, since, WAIT_SECONDS)
        return {(r.key or b"").decode(): dict(r.headers)["n"].decode() for r in records}

    assert found(began + timedelta(seconds=50)) == {
        job: str(len(others) + number) for number, job in enumerate(mine)
    }
    assert found(began + timedelta(seconds=600)) == {}


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
def test_first_terminal_event_of_a_job_is_found(
    real_broker: Broker, topics: TopicFactory, state: JobState
) -> None:
    """The first one counts, and another job has none."""
    config, topic = config_of(real_broker.bootstrap_servers), topics("a", partitions=3)
    job, other = new_job_id(MINE), new_job_id(MINE)
    with RecordProducer(config) as producer:
        for each in (JobState.RUNNING, state, JobState.SUCCEEDED):
            producer.send(topic, job.encode(), encode(event(job, each)), [])
        producer.send(topic, other.encode(), encode(event(other, JobState.RUNNING)), [])
    assert terminal_states(config, topic, [job, other], None, WAIT_SECONDS) == {job: state}


def test_missing_topic_is_an_error(real_broker: Broker) -> None:
    """The error names the topic."""
    config = config_of(real_broker.bootstrap_servers)
    with pytest.raises(TopicNotFound, match=r"topic 'no.requests' does not exist"):
        list(requests_of(config, "no.requests", MINE, datetime.now(UTC), WAIT_SECONDS))
