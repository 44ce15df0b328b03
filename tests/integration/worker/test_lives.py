"""Workers that start, stop, die and share: no job is lost, and none runs twice without need."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from integration.jobs import WAIT_SECONDS, events, events_until
from integration.worker.endings import end_of, ends_of, positions, shares
from integration.worker.programs import Stage
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.worker import JobContext, Worker

if TYPE_CHECKING:
    from conftest import Eventually

S = JobState


def test_no_more_jobs_run_at_a_time_than_the_concurrency(
    stage: Stage, eventually: Eventually
) -> None:
    """With 4, four jobs run and no fifth; as one ends the next begins."""
    stage.start("--concurrency", "4")
    jobs = [stage.request("wait") for _ in range(6)]
    stage.publish(*jobs)
    eventually(lambda: len(stage.noted("started")) == 4, "four jobs run")
    time.sleep(0.4)  # time for a fifth, if it were let
    assert len(stage.noted("started")) == 4
    stage.gate.touch()
    assert {end.state for end in ends_of(stage, jobs)} == {S.SUCCEEDED}
    assert sorted(stage.noted("done")) == sorted(job.correlation_id for job in jobs)


def test_job_type_with_a_limit_of_its_own_never_exceeds_it(
    stage: Stage, eventually: Eventually
) -> None:
    """Of a type with concurrency 1 one job runs at a time, and others have the worker's rest."""
    stage.start("--concurrency", "3")
    narrow = [stage.request("narrow") for _ in range(3)]
    others = [stage.request("wait") for _ in range(2)]
    stage.publish(*narrow, *others)
    waiting = {job.correlation_id for job in others}
    eventually(lambda: waiting < set(stage.noted("started")), "those without a limit run")
    assert len(stage.noted("started")) == 3
    stage.gate.touch()
    assert {end.state for end in ends_of(stage, narrow + others)} == {S.SUCCEEDED}
    lines = [line.split() for line in stage.notes.read_text().splitlines()]
    steps = [word for word, job, _ in lines if job not in waiting]
    assert steps == ["started", "done"] * 3


def test_stopped_worker_finishes_what_it_has(stage: Stage, eventually: Eventually) -> None:
    """On SIGTERM the job at hand ends and is committed, nothing new is taken, the exit code is 0.

    The next worker does what is left and nothing again.
    """
    first = stage.start()
    running, waiting = stage.request("wait"), stage.request("note")
    stage.publish(running)
    eventually(lambda: stage.noted("started") == [running.correlation_id], "the job runs")
    first.process.terminate()
    first.until_said("Stopping: waiting up to 30 s for 1 jobs to finish")
    stage.publish(waiting)
    time.sleep(0.3)  # time to take it, if it did
    assert first.process.poll() is None
    stage.gate.touch()
    assert first.process.wait(60) == 0
    assert end_of(stage, running).state is S.SUCCEEDED
    assert positions(stage) == 1
    stage.start()
    assert end_of(stage, waiting).state is S.SUCCEEDED
    assert stage.noted("done") == [running.correlation_id, waiting.correlation_id]


def test_second_signal_stops_at_once(stage: Stage, eventually: Eventually) -> None:
    """Who cannot wait sends SIGTERM again: the job is left, uncommitted, to the next worker."""
    first = stage.start()
    job = stage.request("wait")
    stage.publish(job)
    eventually(lambda: stage.noted("started") != [], "the job runs")
    first.process.terminate()
    first.until_said("Stopping")
    before = time.monotonic()
    assert first.stop() == 128 + 15
    assert time.monotonic() - before < 20, "it did not wait for its grace of 30 s"
    assert positions(stage) == 0


@pytest.mark.parametrize("job_type", ["wait", "hog"])
def test_job_that_does_not_end_does_not_hold_up_the_stop(
    stage: Stage, eventually: Eventually, job_type: str
) -> None:
    """After the grace the worker leaves a blocked thread or event loop behind, uncommitted."""
    worker = stage.start(KAFKA_BRIDGE_GRACE_SECONDS="0.5")
    stage.publish(stage.request(job_type))
    eventually(lambda: stage.noted("started") != [], "the job runs")
    before = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - before < 20, "it did not wait for the default grace of 30 s"
    assert "Releasing 1 unfinished jobs: other workers do them again" in worker.said
    assert positions(stage) == 0


def test_job_of_a_killed_worker_is_run_by_another(stage: Stage, eventually: Eventually) -> None:
    """After the session time-out the group gives the job to who is left; what finished stays so."""
    first = stage.start()
    before, job = stage.request("note"), stage.request("wait")
    stage.publish(before)
    assert end_of(stage, before).state is S.SUCCEEDED
    eventually(lambda: positions(stage) == 1, "the finished job is committed")
    stage.publish(job)
    eventually(lambda: stage.noted("started") == [job.correlation_id], "the job runs")
    first.kill()
    stage.gate.touch()
    second = stage.start(ready=False)
    seen = events(stage.config, stage.responses, job.correlation_id)
    assert [each.state for each in seen if each.state is not S.RUNNING] == [
        *[S.ACCEPTED] * 2,
        S.SUCCEEDED,
    ]
    assert len({each.worker_id for each in seen}) == 2
    assert stage.noted("started") == [job.correlation_id] * 2
    assert stage.noted("done") == [before.correlation_id, job.correlation_id]
    assert second.stop() == 0
    assert positions(stage) == 2


def test_two_workers_share_the_jobs(stage: Stage, eventually: Eventually) -> None:
    """40 jobs, two workers of one group: each job runs once, and both do some."""
    workers = [stage.start("--concurrency", "3") for _ in range(2)]
    jobs = [stage.request("note") for _ in range(40)]
    stage.publish(*jobs)
    ends = ends_of(stage, jobs)
    by_worker = Counter(end.worker_id for end in ends)
    assert {end.state for end in ends} == {S.SUCCEEDED}
    assert len(by_worker) == 2
    assert sorted(stage.noted("done")) == sorted(job.correlation_id for job in jobs)
    assert [worker.stop() for worker in workers] == [0, 0]
    assert positions(stage) == 40


def test_full_worker_goes_on_after_another_joins(stage: Stage, eventually: Eventually) -> None:
    """A rebalance while every slot is taken leaves no partition paused once a slot is free."""
    stage.start()
    jobs = [stage.request("wait"), *(stage.request("note") for _ in range(6))]
    stage.publish(jobs[0])
    eventually(lambda: stage.noted("started") != [], "the slot is taken")
    # The running job's partition may move: then the second is full, too, and stops all the same.
    second = stage.start(KAFKA_BRIDGE_GRACE_SECONDS="0.5")
    stage.publish(*jobs[1:])
    eventually(lambda: shares(stage) == [2, 2], "they share the partitions")
    assert second.stop() == 0
    eventually(lambda: shares(stage) == [4], "all come back to the first, which is still full")
    stage.gate.touch()
    assert {end.state for end in ends_of(stage, jobs)} == {S.SUCCEEDED}


def test_jobs_from_before_the_first_worker_are_run(stage: Stage) -> None:
    """A new group starts at the earliest request: none is lost that was sent before it."""
    job = stage.request("note")
    stage.publish(job)
    stage.start(ready=False)
    (accepted,) = events_until(
        stage.config, stage.responses, job.correlation_id, lambda seen: len(seen) == 1
    )
    assert accepted.state is S.ACCEPTED
    assert end_of(stage, job).state is S.SUCCEEDED


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (
            lambda: {"KAFKA_BRIDGE_REQUEST_TOPIC": "no.such.topic"},
            "kafka-bridge: topic 'no.such.topic' does not exist on Kafka at",
        ),
        (
            lambda: {"KAFKA_BRIDGE_DEAD_LETTER_TOPIC": "no.such.topic"},
            "kafka-bridge: topic 'no.such.topic' does not exist on Kafka at",
        ),
        (
            lambda: {"KAFKA_BRIDGE_CONTROL_TOPIC": "no.such.topic"},
            "kafka-bridge: topic 'no.such.topic' does not exist on Kafka at",
        ),
    ],
    ids=["no request topic", "no dead letters", "no control topic"],
)
def test_worker_that_cannot_start_says_why(
    stage: Stage, environ: Callable[[], dict[str, str]], words: str
) -> None:
    """One line that names what is missing, no traceback, and exit code 1."""
    worker = stage.start(ready=False, **environ())
    assert worker.process.wait(20) == 1
    assert [line for line in worker.said.splitlines() if line.startswith(words)], worker.said
    assert "Traceback" not in worker.said


def test_fenced_worker_ends_instead_of_idling(stage: Stage) -> None:
    """When another process has its group.instance.id, a worker can do nothing more, and says so."""
    first = stage.start(KAFKA_BRIDGE_KAFKA_GROUP_INSTANCE_ID="one")
    stage.start(KAFKA_BRIDGE_KAFKA_GROUP_INSTANCE_ID="one", ready=False)
    assert first.process.wait(25) == 1
    assert "kafka-bridge: Kafka at" in first.said
    assert "instance" in first.said.lower()


def test_worker_on_another_thread_can_be_stopped(stage: Stage, eventually: Eventually) -> None:
    """No signal reaches it there; ``stop()`` lets the job at hand end, as SIGTERM does.

    Told before it runs, it ends as soon as it does; after that it runs again.
    """
    begun, gate = threading.Event(), threading.Event()
    worker = _worker_of(stage)

    @worker.job("hold")
    def hold(_: JobContext) -> str:
        begun.set()
        gate.wait(WAIT_SECONDS)
        return "held"

    with ThreadPoolExecutor(1) as other:
        worker.stop()
        other.submit(worker.run).result(WAIT_SECONDS)
        job = stage.request("hold")
        stage.publish(job)
        running = other.submit(worker.run)
        assert begun.wait(WAIT_SECONDS)
        worker.stop()
        gate.set()
        running.result(WAIT_SECONDS)
    assert end_of(stage, job).state is S.SUCCEEDED
    eventually(lambda: positions(stage) == 1, "it is committed")


def _worker_of(stage: Stage) -> Worker:
    return Worker(
        stage.group,
        kafka=stage.config.settings,
        request_topic=stage.requests,
        dead_letter_topic=stage.dead_letters,
        control_topic=stage.control,
    )
