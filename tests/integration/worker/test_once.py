"""What has finished is never run again, and what nobody can finish is given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.jobs import first_record
from integration.worker.endings import end_of, how_often_ended, positions, told
from integration.worker.programs import Program, Stage
from kafka_bridge.protocol.headers import text_header
from kafka_bridge.protocol.messages import JobRequest, JobState

if TYPE_CHECKING:
    from conftest import Eventually, TopicFactory

S = JobState


@pytest.fixture
def lane(stage: Stage, topics: TopicFactory) -> Stage:
    """Give a stage with one partition of requests: they are seen to in the order they came."""
    stage.requests = topics("requests", 1)
    return stage


def restart(stage: Stage, **environ: str) -> Program:
    """Start a worker that takes over at once from one that died, as its name in the group says."""
    environ |= {"KAFKA_BRIDGE_KAFKA_GROUP_INSTANCE_ID": "one"}
    return stage.start("--concurrency", "2", ready=True, **environ)


def test_request_that_was_published_twice_runs_once(lane: Stage, eventually: Eventually) -> None:
    """Be the first one queued, running or done, in this worker or in one before it.

    Each is committed in silence: the job has one end, and nothing is said after it.
    """
    worker = lane.start("--concurrency", "2")
    job, marker = lane.request("wait"), lane.request("note")
    lane.publish(job, job)
    eventually(lambda: lane.noted("started") != [], "the first runs")
    lane.publish(job, marker)
    assert end_of(lane, marker).state is S.SUCCEEDED
    lane.gate.touch()
    assert end_of(lane, job).state is S.SUCCEEDED
    lane.publish(job)
    eventually(lambda: positions(lane) == 5, "all five are committed")
    assert worker.stop() == 0
    lane.publish(job, job)
    lane.start()
    eventually(lambda: positions(lane) == 7, "so are those that came while no worker was there")
    assert lane.noted("started") == [job.correlation_id]
    assert [event.state for event in told(lane)[job.correlation_id]] == [S.ACCEPTED, S.SUCCEEDED]


def test_finished_job_of_a_killed_worker_is_never_started_again(
    lane: Stage, eventually: Eventually
) -> None:
    """Its end stands in the response topic; that no offset was committed changes nothing.

    The job before it, which was not finished, holds the commit back: it is done anew.
    """
    first = restart(lane)
    running, finished = lane.request("wait"), lane.request("note")
    lane.publish(running, finished)
    assert end_of(lane, finished).state is S.SUCCEEDED
    eventually(lambda: lane.noted("started") == [running.correlation_id], "the other one runs")
    first.kill()
    assert positions(lane) == 0
    lane.gate.touch()
    second = restart(lane)
    ended = end_of(lane, running)
    assert (ended.state, ended.delivery) == (S.SUCCEEDED, 2)
    eventually(lambda: positions(lane) == 2, "both are committed")
    assert second.stop() == 0
    assert lane.noted("started") == [running.correlation_id] * 2
    assert lane.noted("done") == [finished.correlation_id, running.correlation_id]
    assert how_often_ended(lane, [running, finished]) == [1, 1]


def test_job_that_kills_its_process_is_abandoned_and_others_are_not(
    lane: Stage, eventually: Eventually
) -> None:
    """After ``max_deliveries`` deaths it is FAILED, and a dead letter; nobody else is blamed.

    A job that runs beside it when the process dies is done once it can be: from the second time on,
    half of those allowed, the two are not run together.
    """
    poison, beside, after = lane.request("die", 2), lane.request("wait"), lane.request("note")
    lane.publish(beside, poison)

    def start() -> Program:
        return restart(lane, KAFKA_BRIDGE_MAX_DELIVERIES="3")

    start().process.wait(20)
    second = start()
    eventually(lambda: lane.noted("started").count(beside.correlation_id) == 2, "it runs alone")
    lane.publish(after)
    assert end_of(lane, after).state is S.SUCCEEDED
    assert lane.noted("started").count(poison.correlation_id) == 1
    lane.gate.touch()
    second.process.wait(20)
    start().process.wait(20)
    fourth = start()
    ended = end_of(lane, poison)
    assert (ended.state, ended.delivery) == (S.FAILED, 4)
    assert ended.error is not None
    assert (ended.error.type, ended.error.retryable) == ("too_many_deliveries", False)
    assert f"job {poison.correlation_id} (die) was begun 3 times" in ended.error.message
    dead = first_record(lane.config, lane.dead_letters)
    assert dead.decode(JobRequest) == poison
    assert (text_header(dead.headers, "kafka_dlt-exception-fqcn") or "").endswith(
        "TooManyDeliveries"
    )
    eventually(lambda: positions(lane) == 3, "all is committed")
    assert fourth.stop() == 0
    assert lane.noted("started").count(poison.correlation_id) == 3
    assert [event.state for event in told(lane)[beside.correlation_id]].count(S.SUCCEEDED) == 1
    assert how_often_ended(lane, [poison, beside, after]) == [1, 1, 1]
