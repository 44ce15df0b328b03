"""The topics of jobs, followed on a broker: what they have, and what comes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from integration.jobs import WAIT_SECONDS, config_of, event, request
from kafka_bridge.kafka.commands import cancel
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.monitor.book import JobBook
from kafka_bridge.monitor.follower import JobFollower
from kafka_bridge.monitor.jobs import ShownState
from kafka_bridge.monitor.lookup import read_job
from kafka_bridge.monitor.reading import MonitoredTopics
from kafka_bridge.monitor.task_lookup import read_jobs_of_task
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.ids import new_correlation_id, new_job_id, task_prefix
from kafka_bridge.protocol.messages import JobState, Progress, Task, utc_now
from kafka_bridge.testing import EmbeddedBroker

if TYPE_CHECKING:
    from conftest import Eventually

TOPICS = MonitoredTopics(["requests"], ["responses"], "control")


class Service:
    """Writes what Airflow and workers write."""

    def __init__(self, config: KafkaConfig, producer: RecordProducer) -> None:
        self.config = config
        self._producer = producer

    def submit(self, response_topic: str = "responses", **fields: Any) -> str:
        """Publish a request; return its job."""
        job = request("files.audit", response_topic, {"path": "/data"}, **fields)
        self.write("requests", job.correlation_id, encode(job))
        return job.correlation_id

    def report(
        self, job: str, state: JobState, topic: str = "responses", **fields: Any
    ) -> RecordLocation:
        """Publish an event of a job."""
        return self.write(topic, job, encode(event(job, state, **fields)))

    def write(self, topic: str, key: str, value: bytes) -> RecordLocation:
        """Publish a record."""
        return self._producer.publish(topic, key.encode(), value, [])


@pytest.fixture(scope="module")
def config() -> Iterator[KafkaConfig]:
    """Give the configuration of an embedded broker."""
    with EmbeddedBroker(["requests", "responses", "control", "team.responses"]) as broker:
        yield config_of(broker.bootstrap_servers)


@pytest.fixture(scope="module")
def service(config: KafkaConfig) -> Iterator[Service]:
    """Give what writes the records."""
    with RecordProducer(config) as producer:
        yield Service(config, producer)


@pytest.fixture
def follow(config: KafkaConfig) -> Iterator[Callable[[JobBook], JobFollower]]:
    """Give a function that follows the topics, until the end of the test."""
    with contextlib.ExitStack() as stack:

        def start(book: JobBook, topics: MonitoredTopics = TOPICS) -> JobFollower:
            since = utc_now() - timedelta(hours=1)
            follower = JobFollower(config, topics, since, book)
            stack.callback(follower.close)
            return follower

        yield start


def test_what_is_there_is_read_and_then_what_comes(
    service: Service, follow: Callable[..., JobFollower], eventually: Eventually
) -> None:
    """Also from a response topic that only a request names, now or later."""
    here, elsewhere = service.submit(), service.submit("team.responses")
    service.report(here, JobState.ACCEPTED)
    service.report(elsewhere, JobState.FAILED, "team.responses")
    service.write("responses", here, b"no event")
    cancel(service.config, "control", here, "enough", timeout=WAIT_SECONDS)
    book = JobBook()
    follower = follow(book)
    assert follower.wait_until_caught_up(WAIT_SECONDS)
    first, second = book.job(here), book.job(elsewhere)
    assert first is not None
    assert second is not None
    assert (first.state, first.job_type) == (ShownState.ACCEPTED, "files.audit")
    assert first.cancel is not None
    assert second.state is ShownState.FAILED
    statuses = {each.topic: each for each in follower.statuses()}
    assert set(statuses) == {"requests", "responses", "control", "team.responses"}
    assert statuses["responses"].undecodable >= 1
    assert not any(each.failure for each in statuses.values())

    service.report(here, JobState.SUCCEEDED)
    later = service.submit("team.responses")
    service.report(later, JobState.RUNNING, "team.responses", progress=Progress(1, 2))

    def is_there() -> bool:
        one, other = book.job(here), book.job(later)
        return bool(one and other and one.state.is_end and other.progress)

    eventually(is_there, "what came later is in the book")
    follower.check()


def test_missing_topic_is_said_and_does_no_harm(
    service: Service, follow: Callable[..., JobFollower], eventually: Eventually
) -> None:
    """The other topics are read."""
    job = service.submit()
    book = JobBook()
    follower = follow(
        book, MonitoredTopics(["requests", "no.such.topic"], ["responses"], "control")
    )
    assert follower.wait_until_caught_up(WAIT_SECONDS)
    assert book.job(job) is not None
    failures = {each.topic: each.failure for each in follower.statuses() if each.failure}
    assert set(failures) == {"no.such.topic"}
    assert "does not exist" in str(failures["no.such.topic"])


def test_one_job_is_looked_up(service: Service) -> None:
    """Its time line, also what changed nothing; payload and result as they were sent."""
    job = service.submit("team.responses")
    service.submit()
    for state, fields in (
        (JobState.ACCEPTED, {}),
        (JobState.RUNNING, {"message": "half"}),
        (JobState.SUCCEEDED, {"result": b"[1]", "result_type": "application/json"}),
        (JobState.RUNNING, {"message": "a zombie"}),
    ):
        service.report(job, state, "team.responses", **fields)
    cancel(service.config, "control", job, "too late", timeout=WAIT_SECONDS)
    found = read_job(service.config, job, TOPICS)
    assert found is not None
    assert [(each.event.state, each.is_stale) for each in found.events] == [
        (JobState.ACCEPTED, False),
        (JobState.RUNNING, False),
        (JobState.SUCCEEDED, False),
        (JobState.RUNNING, True),
    ]
    assert (found.payload, found.payload_type) == (b'{"path":"/data"}', "application/json")
    assert found.end is not None
    assert found.end.result == b"[1]"
    assert found.job.state is ShownState.SUCCEEDED
    assert found.job.cancel is not None
    assert not found.unreadable
    assert not found.failures


def test_unknown_job_is_none(service: Service) -> None:
    """Nothing is known of it."""
    assert read_job(service.config, new_correlation_id(), TOPICS) is None


def test_jobs_of_a_task_are_looked_up(service: Service) -> None:
    """Of all its tries, with their states; not those that only have such an id."""
    task = Task("production", "nightly", "run", "audit", 4, try_number=2, url="https://airflow/")
    prefix = task_prefix("production", "nightly", "run", "audit", 4)
    tries = [new_job_id(prefix) for _ in range(2)]
    for number, job in enumerate(tries, start=1):
        service.submit(
            "team.responses",
            correlation_id=job,
            task=Task("production", "nightly", "run", "audit", 4, try_number=number),
        )
    service.report(tries[0], JobState.FAILED, "team.responses")
    service.report(tries[1], JobState.RUNNING, "team.responses")
    service.write("team.responses", tries[1], b"no event")
    service.submit(task=task)
    service.submit(correlation_id=new_job_id(prefix), task=Task("elsewhere", "nightly", "r", "a"))
    service.submit(correlation_id=new_job_id(prefix))
    service.write("requests", new_job_id(prefix), b"no request")
    since = utc_now() - timedelta(minutes=1)
    topics = MonitoredTopics(["no.such.topic", "requests"])
    found = read_jobs_of_task(service.config, task, topics, since)
    assert {job: view.state for job, view in found.jobs.items()} == {
        tries[0]: ShownState.FAILED,
        tries[1]: ShownState.RUNNING,
    }
    assert set(found.failures) == {"no.such.topic"}
