"""The number of a delivery, and jobs that were picked up too often."""

from __future__ import annotations

from collections.abc import Iterator

from kafka_bridge.conformance.events import in_words
from kafka_bridge.conformance.job_types import ECHO
from kafka_bridge.conformance.probe import prepared
from kafka_bridge.conformance.probes.failures import fails_with
from kafka_bridge.conformance.stage import Stage
from kafka_bridge.conformance.unmet import expect
from kafka_bridge.protocol.messages import ErrorType, JobRequest, JobState

MOST_DELIVERIES = 5


def _interrupted(stage: Stage, payload: str, deliveries: int) -> JobRequest:
    """Publish a request that other workers have picked up so many times, and not finished."""
    job = stage.request(ECHO, payload)
    stage.publish(job)
    for delivery in range(1, deliveries + 1):
        stage.tell(job, JobState.ACCEPTED, delivery=delivery)
    return job


@prepared(
    "L3-DELIVERY-NEXT", "delivery is 1 + the highest one that the worker has seen for this job."
)
def following(stage: Stage) -> Iterator[None]:
    """A job that two workers had before."""
    job = _interrupted(stage, "third delivery", 2)
    yield
    end = stage.ends_as(job, JobState.SUCCEEDED)
    expect(end.delivery == 3, "delivery 3", f"it is {end.delivery}", end.record)


@prepared(
    "L3-DELIVERY-LIMIT",
    "After five interrupted deliveries a job is FAILED as too_many_deliveries, and goes to the "
    "dead-letter topic.",
)
def limit(stage: Stage) -> Iterator[None]:
    """A job that five workers had before, and one that four had."""
    fifth, fourth = _interrupted(stage, "five", MOST_DELIVERIES), _interrupted(stage, "four", 4)
    yield
    fails_with(stage, fifth, ErrorType.TOO_MANY_DELIVERIES, retryable=False)
    stage.never_started(fifth, "five workers were lost with it")
    stage.becomes_dead_letter(fifth.correlation_id, "the request")
    stage.ends_as(fourth, JobState.SUCCEEDED)


@prepared("L3-DELIVERY-RELEASED", "A released delivery does not count against a job.")
def released(stage: Stage) -> Iterator[None]:
    """A job that five workers had before, of which two have released it."""
    job = _interrupted(stage, "released", 3)
    for delivery in (4, 5):
        stage.tell(job, JobState.ACCEPTED, delivery=delivery)
        stage.tell(job, JobState.RELEASED, delivery=delivery, sequence=1)
    yield
    end = stage.ends_as(job, JobState.SUCCEEDED)
    expect(
        end.delivery == MOST_DELIVERIES + 1,
        "delivery 6",
        in_words(stage.events(job)),
        end.record,
    )
