"""Whose turn it is: what had begun goes first, and a type with few places holds up no other.

Workers are processes; the broker's shortest session time-out, 6 s, stands for the usual 30 s.
"""

from __future__ import annotations

import itertools
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from integration.jobs import WAIT_SECONDS
from integration.worker.endings import end_of, ends_of, how_often_ended, positions, shares, told
from integration.worker.programs import SESSION_MS, Program, Stage
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent

if TYPE_CHECKING:
    from conftest import Eventually, TopicFactory

S = JobState
HEARTBEAT_MS = 500
SILENCE_SECONDS = SESSION_MS / 1000 + 5.0
"""How long a job of a dead worker may be silent: until the group gives its partition to another
worker, and until that one has read the first requests of it and the ledger."""


@pytest.fixture
def pair(stage: Stage, topics: TopicFactory, eventually: Eventually) -> Stage:
    """Give a stage with two partitions, each with a worker that does two jobs at a time."""
    stage.requests = topics("requests", 2)
    for _ in range(2):
        stage.start("--concurrency", "2", KAFKA_BRIDGE_GRACE_SECONDS="0.5")
    eventually(lambda: shares(stage) == [1, 1], "each has a partition")
    return stage


def test_jobs_of_a_killed_worker_run_before_the_queue_of_the_survivor(
    pair: Stage, eventually: Eventually
) -> None:
    """Its backlog is full and takes a minute: jobs that had begun elsewhere do not wait for it.

    They are never silent for much longer than the session, and are the next ones to be started.
    """
    pair.publish(*_jobs(pair, "work", 2_400, 100))
    killed, _ = _kill_one(pair, eventually, signal.SIGKILL)
    eventually(
        lambda: all(_deliveries(pair, job) == [1, 2] for job in killed),
        "what had begun on the killed worker is begun on the other one",
        SILENCE_SECONDS + 10,
    )
    for job, events in told(pair).items():
        assert _longest_silence(events) < SILENCE_SECONDS, job


def test_full_worker_publishes_handover_heartbeats_for_jobs_of_a_killed_one(
    pair: Stage, eventually: Eventually
) -> None:
    """At once and in each heartbeat interval, as the delivery that broke off, until it has one."""
    jobs = _jobs(pair, "wait", 2_400)
    pair.publish(*jobs)
    killed, survivor = _kill_one(pair, eventually, signal.SIGKILL)

    def others(job: str) -> list[StatusEvent]:
        return [each for each in told(pair)[job] if each.worker_id != victim_of[job]]

    victim_of = {job: told(pair)[job][0].worker_id for job in killed}
    eventually(
        lambda: all(len(others(job)) >= 3 for job in killed),
        "the other worker speaks for them",
        SILENCE_SECONDS + 10,
    )
    for job in killed:
        assert {(each.state, each.delivery) for each in others(job)} == {(S.RUNNING, 1)}
        assert str(others(job)[0].message).startswith("Waits for a free slot on worker ")
        sequences = [each.sequence for each in told(pair)[job]]
        assert sequences == sorted(set(sequences))
        assert _longest_silence(told(pair)[job]) < SILENCE_SECONDS
    pair.cancel(next(each for each in jobs if each.correlation_id == killed[0]), "enough")
    eventually(lambda: told(pair)[killed[0]][-1].state is S.CANCELLED, "it is cancelled at once")
    pair.gate.touch()
    eventually(lambda: told(pair)[killed[1]][-1].state is S.SUCCEEDED, "the other one is done")
    assert [each.state for each in told(pair)[killed[0]]].count(S.CANCELLED) == 1
    assert told(pair)[killed[0]][-1].state is S.CANCELLED  # no heartbeat after the end
    assert survivor.stop() == 0


def test_jobs_of_a_stopped_worker_run_before_the_queue_of_the_survivor(
    pair: Stage, eventually: Eventually
) -> None:
    """What was handed back waits for a place, not for the queue, and is queued meanwhile."""
    pair.publish(*_jobs(pair, "work", 2_400, 2_000))
    stopped, _ = _kill_one(pair, eventually, signal.SIGTERM)
    assert len(stopped) == 2
    eventually(lambda: all(told(pair)[job][-1].state in TERMINAL for job in stopped), "they end")
    for job in stopped:
        states = [each.state for each in told(pair)[job]]
        assert states[states.index(S.RELEASED) + 1] is S.ACCEPTED  # queued until it is begun


def _jobs(stage: Stage, job_type: str, count: int, payload: int | None = None) -> list[JobRequest]:
    return [
        stage.request(job_type, payload, heartbeat_interval_ms=HEARTBEAT_MS) for _ in range(count)
    ]


def _kill_one(
    stage: Stage, eventually: Eventually, how: signal.Signals
) -> tuple[list[str], Program]:
    """Send a worker a signal while two jobs run on it.

    Return the jobs that it had begun and not ended, and the other worker.
    """

    def begun(worker: str | None = None) -> list[str]:
        return [
            job
            for job, events in told(stage).items()
            if worker in (None, events[0].worker_id) and events[-1].state not in TERMINAL
        ]

    eventually(lambda: len(begun()) >= 4, "both are busy")
    victim, survivor = stage.programs
    victim.process.send_signal(how)
    victim.process.wait(WAIT_SECONDS)
    name = next(
        each[0].worker_id
        for each in told(stage).values()
        if f"-{victim.process.pid}-" in each[0].worker_id
    )
    return begun(name), survivor


def _deliveries(stage: Stage, job: str) -> list[int]:
    return [each.delivery for each in told(stage)[job] if each.state is S.ACCEPTED]


def _longest_silence(events: list[StatusEvent]) -> float:
    times = [each.occurred_at.timestamp() for each in events]
    return max((later - at for at, later in itertools.pairwise(times)), default=0.0)


def test_job_type_with_few_slots_delays_no_other_type(stage: Stage, eventually: Eventually) -> None:
    """1,500 requests of a type of which five may run lie before 100 others, in every partition.

    The others are done; then the 1,500, each once, and all is committed.
    """
    stage.start("--concurrency", "20")
    slow = [stage.request("few") for _ in range(1_500)]
    others = [stage.request("note") for _ in range(100)]
    stage.publish(*slow, *others)
    assert {end.state for end in ends_of(stage, others)} == {S.SUCCEEDED}
    assert len(stage.noted("started")) == 5
    assert len(stage.noted("done")) == 100
    stage.gate.touch()
    assert Counter(end.state for end in ends_of(stage, slow)) == {S.SUCCEEDED: 1_500}
    assert set(how_often_ended(stage, slow)) == {1}
    assert sorted(stage.noted("started")) == sorted(job.correlation_id for job in slow)
    eventually(lambda: positions(stage) == 1_600, "all are committed")


def test_skipped_requests_are_left_to_the_next_worker(stage: Stage, eventually: Eventually) -> None:
    """Killed while it has hundreds of them to come back to: the next worker does each, once."""
    first = stage.start("--concurrency", "20")
    slow = [stage.request("few") for _ in range(1_500)]
    others = [stage.request("note") for _ in range(100)]
    stage.publish(*slow, *others)
    ends_of(stage, others)
    first.kill()
    stage.gate.touch()
    last = stage.request("note")
    stage.publish(last)
    second = stage.start("--concurrency", "20", ready=False)
    assert end_of(stage, last).state is S.SUCCEEDED
    assert Counter(end.state for end in ends_of(stage, slow)) == {S.SUCCEEDED: 1_500}
    assert set(how_often_ended(stage, [*slow, *others])) == {1}
    assert second.stop() == 0
    assert positions(stage) == 1_601
