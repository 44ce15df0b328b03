"""ACCEPTED, heartbeats and progress."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from kafka_bridge.conformance.events import Event, in_words
from kafka_bridge.conformance.job_types import ECHO, PROGRESS, SLEEP
from kafka_bridge.conformance.probe import running
from kafka_bridge.conformance.stage import Stage
from kafka_bridge.conformance.target_facts import SLOTS
from kafka_bridge.conformance.unmet import expect
from kafka_bridge.protocol.lifecycle import may_follow
from kafka_bridge.protocol.messages import JobState

INTERVAL_SECONDS = 1.0
LATE_SHARE = 0.5
"""How much later than its interval an event may come: clients and brokers take time, too."""


@running("L2-ACCEPTED", "A worker writes ACCEPTED when it has the job.")
def accepted(stage: Stage) -> None:
    """The first event of a job."""
    job = stage.request(SLEEP, {"seconds": stage.patience.seconds(0.5)})
    stage.outcome(job, JobState.SUCCEEDED)
    first = stage.events(job)[0]
    expect(
        first.state is JobState.ACCEPTED,
        "ACCEPTED as the first event",
        in_words(stage.events(job)),
        first.record,
    )


@running(
    "L2-HEARTBEAT",
    "From ACCEPTED on, a worker publishes at least one event in every heartbeat_interval_ms, also "
    "while the handler blocks.",
)
def heartbeat(stage: Stage) -> None:
    """A handler that blocks for four intervals."""
    interval = stage.patience.seconds(INTERVAL_SECONDS)
    job = stage.request(
        SLEEP, {"seconds": 4 * interval}, heartbeat_interval_ms=int(interval * 1000)
    )
    stage.outcome(job, JobState.SUCCEEDED, stage.patience.soon + 4 * interval)
    check_in_time(stage.events(job), interval)


@running(
    "L2-HEARTBEAT-WAITING",
    "Heartbeats are also published while an accepted job waits inside the worker.",
)
def heartbeat_waiting(stage: Stage) -> None:
    """More jobs than the worker runs at the same time."""
    interval = stage.patience.seconds(INTERVAL_SECONDS)
    seconds = 2.5 * interval
    jobs = [
        stage.request(SLEEP, {"seconds": seconds}, heartbeat_interval_ms=int(interval * 1000))
        for _ in range(2 * SLOTS)
    ]
    for job in jobs:
        stage.publish(job)
    for job in jobs:
        stage.ends_as(job, JobState.SUCCEEDED, stage.patience.soon + len(jobs) * seconds)
        check_in_time(stage.events(job), interval)


def check_in_time(events: Sequence[Event], interval: float) -> None:
    """Check that a job's events follow each other in time, by the timestamps of their records.

    :param interval: seconds
    """
    limit = interval * (1 + LATE_SHARE)
    for one, other in itertools.pairwise(events):
        gap = (other.record.timestamp_ms - one.record.timestamp_ms) / 1000
        expect(
            gap <= limit,
            f"an event at least every {interval:g} s",
            f"{gap:.1f} s are between {one} and {other}",
            other.record,
        )


@running("L2-HEARTBEAT-OFF", "With heartbeat_interval_ms 0, no heartbeats are wanted.")
def heartbeat_off(stage: Stage) -> None:
    """A job that takes some seconds."""
    job = stage.request(SLEEP, {"seconds": stage.patience.seconds(2.0)}, heartbeat_interval_ms=0)
    stage.outcome(job, JobState.SUCCEEDED)
    bare = [
        each
        for each in stage.events(job)
        if each.state is JobState.RUNNING and not each.status.message and not each.status.progress
    ]
    expect(len(bare) <= 1, "no heartbeat", f"{len(bare)} came", bare[-1].record if bare else None)


@running("L2-PROGRESS", "A worker writes the progress of a job: how much is done, of how much.")
def progress(stage: Stage) -> None:
    """Three steps; the last one must arrive, others may be left out."""
    job = stage.request(PROGRESS, {"steps": 3, "seconds": stage.patience.seconds(0.7)})
    stage.outcome(job, JobState.SUCCEEDED)
    found = [each for each in stage.events(job) if each.status.progress is not None]
    shown = [
        (each.status.progress.completed, each.status.progress.total, each.status.progress.unit)
        for each in found
        if each.status.progress is not None
    ]
    expect(
        shown and shown[-1] == (3, 3, "steps") and shown == sorted(shown),
        "progress up to 3 of 3 steps",
        f"it is {shown or 'missing'}",
        found[-1].record if found else None,
    )


@running("L2-EVENT-SEQUENCE", "sequence begins with 0 and grows within one delivery.")
def sequence(stage: Stage) -> None:
    """The numbers of a job's events."""
    job = stage.request(PROGRESS, {"steps": 2, "seconds": stage.patience.seconds(0.7)})
    stage.outcome(job, JobState.SUCCEEDED)
    events = stage.events(job)
    numbers = [each.status.sequence for each in events]
    expect(
        numbers[0] == 0 and all(one < other for one, other in itertools.pairwise(numbers)),
        "sequence to grow from 0",
        f"it is {', '.join(map(str, numbers))}",
        events[-1].record,
    )


@running("L2-EVENT-ID", "Each event has an id of its own.")
def event_id(stage: Stage) -> None:
    """The ids of two jobs' events."""
    jobs = [stage.request(PROGRESS, {"steps": 1, "seconds": 0}) for _ in range(2)]
    for job in jobs:
        stage.outcome(job, JobState.SUCCEEDED)
    seen: dict[str, Event] = {}
    for each in (event for job in jobs for event in stage.events(job)):
        other = seen.setdefault(each.status.event_id, each)
        expect(
            other is each,
            "an event_id of its own for each event",
            f"{other} and {each} both have {each.status.event_id}",
            each.record,
        )


@running("L2-EVENT-DELIVERY", "delivery is 1 for a job that no worker has picked up before.")
def delivery(stage: Stage) -> None:
    """The events of a new job."""
    job = stage.request(ECHO, "delivery")
    stage.outcome(job, JobState.SUCCEEDED)
    for each in stage.events(job):
        expect(each.delivery == 1, "delivery 1", f"it is {each.delivery}", each.record)


@running("L2-EVENT-ORDER", "ACCEPTED comes first, RUNNING repeats, and nothing follows the end.")
def order(stage: Stage) -> None:
    """The states of a job's events, and of what comes after its end."""
    interval = stage.patience.seconds(0.5)
    job = stage.request(
        PROGRESS, {"steps": 2, "seconds": interval}, heartbeat_interval_ms=int(interval * 1000)
    )
    stage.outcome(job, JobState.SUCCEEDED)
    stage.silent(2 * interval)
    before: JobState | None = None
    for each in stage.events(job):
        expect(
            may_follow(before, each.state),
            f"what may follow {before or 'nothing'}",
            in_words(stage.events(job)),
            each.record,
        )
        before = each.state
