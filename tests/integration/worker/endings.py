"""What became of the jobs of a stage: read from its topics, as whoever waits for them would."""

from __future__ import annotations

from collections import defaultdict

from confluent_kafka.admin import AdminClient

from integration.jobs import WAIT_SECONDS, committed, events, records
from integration.worker.programs import Stage
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobRequest, StatusEvent


def end_of(stage: Stage, job: JobRequest) -> StatusEvent:
    """Return how a job ended."""
    return events(stage.config, stage.responses, job.correlation_id)[-1]


def outcome(stage: Stage, job: JobRequest) -> StatusEvent:
    """Publish a request and return how the job ended."""
    stage.publish(job)
    return end_of(stage, job)


def ends_of(stage: Stage, jobs: list[JobRequest]) -> list[StatusEvent]:
    """Return how jobs ended, in the order in which they did."""
    waiting, ends = {job.correlation_id for job in jobs}, []
    with records(stage.config, stage.responses) as arriving:
        while waiting:
            event = next(arriving).decode(StatusEvent)
            if event.state in TERMINAL and event.correlation_id in waiting:
                waiting.remove(event.correlation_id)
                ends.append(event)
    return ends


def told(stage: Stage) -> dict[str, list[StatusEvent]]:
    """Return by job all that stands in the response topic now, in order."""
    by_job: dict[str, list[StatusEvent]] = defaultdict(list)
    for batch in scan(stage.config, stage.responses, (), timeout=WAIT_SECONDS):
        for message in batch:
            event = Record.of(message).decode(StatusEvent)
            by_job[event.correlation_id].append(event)
    return by_job


def how_often_ended(stage: Stage, jobs: list[JobRequest]) -> list[int]:
    """Return how many terminal events each job has now."""
    by_job = told(stage)
    return [sum(event.state in TERMINAL for event in by_job[job.correlation_id]) for job in jobs]


def shares(stage: Stage) -> list[int]:
    """Return how many partitions each member of the group has."""
    admin = AdminClient({"bootstrap.servers": stage.config.bootstrap_servers})
    group = admin.describe_consumer_groups([stage.group])[stage.group].result(WAIT_SECONDS)
    return [len(member.assignment.topic_partitions) for member in group.members]


def positions(stage: Stage) -> int:
    """Return how many requests the group has committed, of all partitions."""
    partitions = len(end_offsets(stage.config, [stage.requests], WAIT_SECONDS)[stage.requests])
    offsets = committed(stage.config, stage.group, stage.requests, partitions)
    return sum(max(each, 0) for each in offsets)
