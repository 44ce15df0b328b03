"""Short sessions on a broker of their own: long jobs, frozen workers, and the broker dies.

What is said afterwards, and what is not.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.jobs import config_of
from integration.worker.endings import ends_of, how_often_ended, positions, shares
from integration.worker.programs import Program, Stage
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.testing import ApacheKafka
from kafka_bridge.testing.freezing import freeze

if TYPE_CHECKING:
    from conftest import Eventually

S = JobState
SESSION_SECONDS = 2.0


@pytest.fixture(scope="module")
def broker(kafka_jars: None) -> Iterator[ApacheKafka]:
    """Give a broker that may be hurt, and that takes short session time-outs."""
    with ApacheKafka({"group.min.session.timeout.ms": "1000"}) as broker:
        yield broker


@pytest.fixture
def scene(
    broker: ApacheKafka, unique_name: Callable[[str], str], tmp_path: Path
) -> Iterator[Stage]:
    """Give a stage on that broker."""

    def topic(prefix: str) -> str:
        name = unique_name(prefix)
        broker.create_topic(name, 4)
        return name

    config = config_of(broker.bootstrap_servers)
    with RecordProducer(config) as producer:
        stage = Stage(
            config,
            producer,
            requests=topic("requests"),
            responses=topic("responses"),
            dead_letters=topic("dead-letters"),
            control=topic("control"),
            group=unique_name("service"),
            folder=tmp_path,
        )
        yield stage
        stage.close()


def start(stage: Stage) -> Program:
    """Start a worker that the group misses soon."""
    session = str(int(SESSION_SECONDS * 1000))
    return stage.start("--concurrency", "4", KAFKA_BRIDGE_KAFKA_SESSION_TIMEOUT_MS=session)


def test_job_three_times_as_long_as_the_poll_interval_runs_once(
    scene: Stage, eventually: Eventually
) -> None:
    """A worker with no free slot polls on: a long job neither ends its membership nor repeats."""
    worker = scene.start(
        KAFKA_BRIDGE_KAFKA_SESSION_TIMEOUT_MS="2000",
        KAFKA_BRIDGE_KAFKA_MAX_POLL_INTERVAL_MS="2000",
    )
    long, next_one = scene.request("block", 6.2), scene.request("note")
    scene.publish(long)
    eventually(lambda: scene.noted("started") != [], "the slot is taken")
    scene.publish(next_one)
    ends = ends_of(scene, [long, next_one])
    assert [(end.state, end.delivery) for end in ends] == [(S.SUCCEEDED, 1)] * 2
    assert scene.noted("started") == [long.correlation_id]
    assert worker.stop() == 0
    assert positions(scene) == 2
    assert how_often_ended(scene, [long, next_one]) == [1, 1]
    assert "max.poll.interval" not in worker.said.lower()


def thaw(program: Program) -> None:
    """Let it go on."""
    program.process.send_signal(signal.SIGCONT)


def pids(stage: Stage, what: str) -> list[int]:
    """Return the processes in which handlers wrote this."""
    lines = [line.split() for line in stage.notes.read_text().splitlines()]
    return [int(pid) for word, _, pid in lines if word == what]


@pytest.mark.long
def test_frozen_worker_publishes_no_result_once_another_has_the_job(
    scene: Stage, eventually: Eventually
) -> None:
    """Both handlers end at the moment it is thawed: it says nothing, for the job is another's."""
    workers = {program.process.pid: program for program in (start(scene), start(scene))}
    job = scene.request("wait")
    scene.publish(job)
    eventually(lambda: scene.noted("started") != [], "the job runs")
    (frozen,) = pids(scene, "started")
    freeze(workers.pop(frozen).process.pid)
    (other,) = workers
    eventually(lambda: pids(scene, "started") == [frozen, other], "another has taken it over")
    scene.gate.touch()
    thaw(next(each for each in scene.programs if each.process.pid == frozen))
    (ended,) = ends_of(scene, [job])
    assert (ended.state, ended.delivery) == (S.SUCCEEDED, 2)
    eventually(lambda: sorted(pids(scene, "done")) == sorted([frozen, other]), "both handlers end")
    eventually(lambda: shares(scene) == [2, 2], "the thawed worker is back in the group")
    after = scene.request("note")
    scene.publish(after)
    ends_of(scene, [after])
    assert [program.stop() for program in scene.programs] == [0, 0]
    assert how_often_ended(scene, [job]) == [1]


def test_frozen_worker_continues_jobs_that_no_other_worker_took_over(
    scene: Stage, eventually: Eventually
) -> None:
    """The group forgot it and gives it the same partitions again: nothing is started anew.

    One job goes on, and the end of another, which came while it was in doubt, is said once.
    """
    worker = start(scene)
    ends_meanwhile, goes_on = scene.request("block", 1.0), scene.request("wait")
    scene.publish(ends_meanwhile, goes_on)
    eventually(lambda: len(scene.noted("started")) == 2, "both run")
    freeze(worker.process.pid)
    eventually(lambda: shares(scene) == [], "the group has given the worker up")
    thaw(worker)
    worker.until_said("Partitions lost (session expired)")
    (ended,) = ends_of(scene, [ends_meanwhile])
    scene.gate.touch()
    (later,) = ends_of(scene, [goes_on])
    assert {(end.state, end.delivery) for end in (ended, later)} == {(S.SUCCEEDED, 1)}
    eventually(lambda: positions(scene) == 2, "both are committed")
    assert worker.stop() == 0
    assert len(scene.noted("started")) == 2
    assert how_often_ended(scene, [ends_meanwhile, goes_on]) == [1, 1]


@pytest.mark.long
def test_jobs_that_end_while_the_broker_is_dead_end_once(
    scene: Stage, broker: ApacheKafka, eventually: Eventually
) -> None:
    """Killed with jobs running and jobs waiting, started again later: each job ends, once."""
    worker = start(scene)
    running, waiting = (
        [scene.request("wait") for _ in range(4)],
        [scene.request("note") for _ in range(20)],
    )
    scene.publish(*running)
    eventually(lambda: len(scene.noted("started")) == 4, "four run")
    scene.publish(*waiting)
    broker.kill()
    scene.gate.touch()
    eventually(lambda: len(scene.noted("done")) >= 4, "they end, and nobody can be told")
    broker.start()
    ends = ends_of(scene, running + waiting)
    assert {(end.state, end.delivery) for end in ends} == {(S.SUCCEEDED, 1)}
    eventually(lambda: positions(scene) == 24, "all are committed")
    assert worker.stop() == 0
    assert len(scene.noted("done")) == 24
    assert how_often_ended(scene, running + waiting) == [1] * 24
