"""Jobs that run in one call of a handler have a life and an end of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.jobs import config_of, events_until
from integration.worker.endings import end_of, how_often_ended, told
from integration.worker.programs import Stage
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent
from kafka_bridge.testing import EmbeddedBroker

if TYPE_CHECKING:
    from conftest import Eventually

S = JobState


@pytest.fixture
def stage(
    kafka_broker: EmbeddedBroker, unique_name: Callable[[str], str], tmp_path: Path
) -> Iterator[Stage]:
    """Give a stage on the embedded broker, for workers with a batch handler."""
    config = config_of(kafka_broker.bootstrap_servers)
    requests, responses, dead_letters, control = (
        unique_name(each) for each in ("requests", "responses", "dead-letters", "control")
    )
    for name in (requests, responses, dead_letters, control):
        kafka_broker.create_topic(name)
    with RecordProducer(config) as producer:
        stage = Stage(
            config,
            producer,
            requests,
            responses,
            dead_letters,
            control,
            group=unique_name("service"),
            folder=tmp_path,
            runs=("worker", "run", "batch_services:worker"),
        )
        yield stage
        stage.close()


def embed(stage: Stage, *texts: object) -> list[JobRequest]:
    """Publish a request for each text; with four of them, their batch begins at once."""
    jobs = [stage.request("texts.embed", text, heartbeat_interval_ms=300) for text in texts]
    stage.publish(*jobs)
    return jobs


def heartbeats(seen: list[StatusEvent]) -> int:
    """Return how many heartbeats there are."""
    return sum(each.state is S.RUNNING for each in seen)


def test_each_job_of_a_batch_has_its_own_heartbeats_cancel_and_end(
    stage: Stage, eventually: Eventually
) -> None:
    """A result, an error of its own, an invalid payload, and a cancel that is not honoured."""
    program = stage.start()
    good, faulty, invalid, cancelled = jobs = embed(stage, "four", "faulty", 7, "other")
    wrong = end_of(stage, invalid).error
    assert wrong is not None
    assert wrong.type == "invalid_payload"
    eventually(lambda: len(stage.noted("started")) == 3, "the others are in one call")
    stage.cancel(cancelled, "no longer wanted")
    for job in (good, faulty):
        events_until(
            stage.config, stage.responses, job.correlation_id, lambda seen: heartbeats(seen) >= 2
        )
    events_until(
        stage.config,
        stage.responses,
        cancelled.correlation_id,
        lambda seen: "no longer wanted" in (seen[-1].message or ""),
    )
    stage.gate.touch()
    ends = [end_of(stage, job) for job in (good, faulty, cancelled)]
    assert [each.state for each in ends] == [S.SUCCEEDED, S.FAILED, S.SUCCEEDED]
    assert ends[1].error is not None
    assert ends[1].error.type == "faulty_text"
    assert [each.attributes for each in ends] == [{}, {}, {"stop_requested": "cancelled"}]
    assert program.stop() == 0
    assert how_often_ended(stage, jobs) == [1] * 4


def test_all_jobs_of_a_batch_start_again_after_a_death_and_after_a_stop(
    stage: Stage, eventually: Eventually
) -> None:
    """After kill -9, and after SIGTERM and the grace period, which releases each of them."""
    first = stage.start()
    jobs = embed(stage, "a", "b", "c", "d")
    eventually(lambda: len(stage.noted("started")) == 4, "the first worker has them")
    first.kill()
    second = stage.start("--grace", "0.1")
    eventually(lambda: len(stage.noted("started")) == 8, "the second worker has them")
    assert second.stop() == 0
    by_job = told(stage)
    for job in jobs:
        last = by_job[job.correlation_id][-1]
        assert (last.state, last.delivery) == (S.RELEASED, 2)
