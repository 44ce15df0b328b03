"""Find the jobs of one Airflow task in Kafka, however old: their ids begin with a hash of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.job_events import JobEventScan, with_skew
from kafka_bridge.kafka.lookups.job_lookup import requests_of
from kafka_bridge.kafka.records import Received
from kafka_bridge.monitor.jobs import JobView
from kafka_bridge.monitor.reading import ANSWER_SECONDS, MonitoredTopics
from kafka_bridge.monitor.transitions import request_view, with_event, with_request
from kafka_bridge.protocol.errors import KafkaError, RecordLocation, RemoteProtocolError
from kafka_bridge.protocol.ids import task_prefix
from kafka_bridge.protocol.messages import JobRequest, StatusEvent, Task


@dataclass(slots=True)
class JobsOfTask:
    """What Kafka holds of the jobs of a task.

    :ivar jobs: by correlation id; their CANCELs are not read
    :ivar failures: by topic, why it could not be read
    """

    jobs: dict[str, JobView] = field(default_factory=dict)
    failures: dict[str, KafkaError] = field(default_factory=dict)


def read_jobs_of_task(
    config: KafkaConfig,
    task: Task,
    topics: MonitoredTopics,
    since: datetime,
    *,
    timeout: float = ANSWER_SECONDS,
) -> JobsOfTask:
    """Return the jobs of all tries of a task instance. Plain requests do not say their task.

    Of the records of other jobs, only the key is read. A topic that cannot be read is no error.

    :param task: its ``try_number`` and ``url`` do not matter
    :param since: when the task began; older records are not read
    :param timeout: the longest silence of the brokers, seconds
    """
    found = JobsOfTask()
    for topic in topics.requests:
        try:
            for request, location in _requests(config, task, topic, since, timeout):
                job = request.correlation_id
                view = found.jobs.get(job) or JobView(correlation_id=job)
                found.jobs[job] = with_request(view, request_view(request, location))
        except KafkaError as error:
            found.failures[topic] = error
    for topic in {each.request.response_topic for each in found.jobs.values() if each.request}:
        try:
            _read_events(config, topic, since, timeout, found.jobs)
        except KafkaError as error:
            found.failures[topic] = error
    return found


def _requests(
    config: KafkaConfig, task: Task, topic: str, since: datetime, timeout: float
) -> Iterator[tuple[JobRequest, RecordLocation]]:
    prefix = task_prefix(task.source, task.dag_id, task.run_id, task.task_id, task.map_index)
    for record in requests_of(config, topic, prefix, since, timeout):
        try:
            request = record.decode(JobRequest)
        except RemoteProtocolError:
            continue
        # Anybody who may publish can write a key with this prefix.
        if request.task and _instance(request.task) == _instance(task):
            yield request, record.location


def _instance(task: Task) -> Task:
    """Return a task without what differs between its tries."""
    return replace(task, try_number=1, url=None)


def _read_events(
    config: KafkaConfig, topic: str, since: datetime, timeout: float, jobs: dict[str, JobView]
) -> None:
    scan = JobEventScan(config, topic, with_skew(since), timeout)
    for job, _, message in scan.events_of({job.encode(): job for job in jobs}):
        record = Received(message)
        try:
            event = record.decode(StatusEvent)
        except RemoteProtocolError:
            continue
        location = RecordLocation(topic, record.partition, record.offset)
        jobs[job] = with_event(jobs[job], event, event.occurred_at, location) or jobs[job]
