"""Missing permissions, on a broker that denies all else: no finished work is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.jobs import WAIT_SECONDS, event, events_until
from integration.worker.programs import Stage
from kafka_bridge.kafka.admin.acls import worker_acls
from kafka_bridge.kafka.admin.topics import TopicNames
from kafka_bridge.kafka.config import ENV_PREFIX, KafkaConfig
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobRequest, JobState
from kafka_bridge.testing import SecuredKafka

if TYPE_CHECKING:
    from conftest import Eventually

OPERATOR = "operator-of-the-tests"


class Guarded:
    """A stage on the secured broker, whose worker has only the permissions that it needs."""

    def __init__(self, kafka: SecuredKafka, stage: Stage, user: str) -> None:
        self.kafka = kafka
        self.stage = stage
        self.user = user

    def environ(self) -> dict[str, str]:
        """Return the variables with which a worker connects as this user."""
        settings = self.kafka.client(self.user)
        return {
            ENV_PREFIX + name.upper().replace(".", "_"): str(value)
            for name, value in settings.items()
            if name != "bootstrap.servers"
        } | {"KAFKA_BRIDGE_RESPONSE_TOPIC": self.stage.responses}

    def start(self) -> None:
        """Start a worker, and return once it has its partitions."""
        self.stage.start("--concurrency", "4", **self.environ())  # type: ignore[arg-type]

    def ends(self, job: JobRequest) -> list[JobState]:
        """Return the states of a job up to its end, but for heartbeats."""
        seen = events_until(
            self.stage.config,
            self.stage.responses,
            job.correlation_id,
            lambda seen: seen[-1].state in {JobState.SUCCEEDED, JobState.FAILED},
        )
        return [each.state for each in seen if each.state is not JobState.RUNNING]

    def dead_letters(self) -> int:
        """Return how many records the dead-letter topic has."""
        topic = self.stage.dead_letters
        return sum(end_offsets(self.stage.config, [topic], WAIT_SECONDS)[topic])


@pytest.fixture
def guarded(
    secured_kafka: SecuredKafka, unique_name: Callable[[str], str], tmp_path: Path
) -> Iterator[Guarded]:
    """Give a stage whose worker may do what `topics acls` lists, and nothing else."""
    kafka, user, group = secured_kafka, unique_name("worker"), unique_name("service")
    kafka.add_user(OPERATOR)
    for resource in ("topic", "group"):
        kafka.allow(OPERATOR, resource, "*", "All")
    names = TopicNames(
        *(unique_name(each) for each in ("requests", "responses", "control", "dead"))
    )
    for name in names:
        kafka.create_topic(name, 1)
    kafka.add_user(user)
    for acl in worker_acls(names, f"User:{user}", group):
        kafka.allow(user, acl.resource, acl.name, *acl.operations, prefixed=acl.prefixed)
    for name in names:  # stays when Read or Write, which imply it, are revoked
        kafka.allow(user, "topic", name, "Describe")
    config = KafkaConfig(kafka.client(OPERATOR))
    with RecordProducer(config) as producer:
        stage = Stage(
            config,
            producer,
            requests=names.requests,
            responses=names.responses,
            dead_letters=names.dead_letters,
            control=names.control,
            group=group,
            folder=tmp_path,
        )
        yield Guarded(kafka, stage, user)
        stage.close()


def test_results_are_published_once_the_permission_is_granted(
    guarded: Guarded, eventually: Eventually
) -> None:
    """Write on responses is revoked while one job runs and before another is accepted.

    Neither becomes a dead letter, neither is done twice, and both succeed once it is granted again.
    """
    stage = guarded.stage
    guarded.start()
    running, later = stage.request("wait"), stage.request("note")
    stage.publish(running)
    eventually(lambda: stage.noted("started") == [running.correlation_id], "the job runs")
    guarded.kafka.disallow(guarded.user, "topic", stage.responses, "Write")
    stage.gate.touch()
    eventually(lambda: running.correlation_id in stage.noted("done"), "its work is done")
    stage.publish(later)
    for job, state in ((running, "SUCCEEDED"), (later, "ACCEPTED")):
        stage.programs[0].until_said(f"Publishing {state} of job {job.correlation_id} is retried")
    assert stage.noted("done") == [running.correlation_id]
    guarded.kafka.allow(guarded.user, "topic", stage.responses, "Write")
    assert guarded.ends(running) == [JobState.ACCEPTED, JobState.SUCCEEDED]
    assert guarded.ends(later) == [JobState.ACCEPTED, JobState.SUCCEEDED]
    assert stage.noted("done") == [running.correlation_id, later.correlation_id]
    assert guarded.dead_letters() == 0


def test_missing_permissions_are_logged_at_the_start(guarded: Guarded) -> None:
    """Each with the line that grants it; a job waits until the response topic may be read."""
    stage, kafka, user = guarded.stage, guarded.kafka, guarded.user
    kafka.disallow(user, "topic", stage.responses, "Read")
    kafka.disallow(user, "topic", stage.dead_letters, "Write")
    guarded.start()
    program = stage.programs[0]
    program.until_said(f"This worker lacks a permission: Read on topic {stage.responses}")
    program.until_said(f"This worker lacks a permission: Write on topic {stage.dead_letters}")
    assert f"--allow-principal User:{user} " in program.said
    assert program.said.count("lacks a permission") == 2
    other = event(new_correlation_id())  # of an empty topic, nothing has to be read
    stage.producer.publish(stage.responses, b"other", encode(other, Encoding.AVRO), [])
    job = stage.request("note")
    stage.publish(job)
    program.until_said(f"Reading response topic {stage.responses} failed; its jobs do not start")
    kafka.allow(user, "topic", stage.responses, "Read")
    assert guarded.ends(job) == [JobState.ACCEPTED, JobState.SUCCEEDED]
    assert guarded.dead_letters() == 0


def test_dead_letter_waits_for_its_permission(guarded: Guarded, eventually: Eventually) -> None:
    """It is written once Write on the dead-letter topic is granted; other jobs do not wait."""
    stage, kafka, user = guarded.stage, guarded.kafka, guarded.user
    kafka.disallow(user, "topic", stage.dead_letters, "Write")
    guarded.start()
    stage.producer.publish(stage.requests, b"k", b"junk", [])
    stage.programs[0].until_said("Could not write request")
    job = stage.request("note")
    stage.publish(job)
    assert guarded.ends(job) == [JobState.ACCEPTED, JobState.SUCCEEDED]
    assert guarded.dead_letters() == 0
    kafka.allow(user, "topic", stage.dead_letters, "Write")
    eventually(lambda: guarded.dead_letters() == 1, "the dead letter is written")
