"""Records of aborted transactions: they were never published."""

from __future__ import annotations

from collections.abc import Iterator

from kafka_bridge.conformance.events import in_words
from kafka_bridge.conformance.job_types import ECHO
from kafka_bridge.conformance.probe import prepared, running
from kafka_bridge.conformance.stage import Stage
from kafka_bridge.conformance.unmet import NotTested, expect
from kafka_bridge.kafka.admin.topics import describe_cluster
from kafka_bridge.protocol.errors import KafkaError
from kafka_bridge.protocol.messages import JobState


def why_not_tested(stage: Stage) -> NotTested | None:
    """Return why nothing can be said on this broker; None where it has transactions."""
    if describe_cluster(stage.setup.config).is_embedded:
        return NotTested("the embedded broker does not hide aborted records: --broker apache")
    return None


@running("L1-READ-COMMITTED", "A request in an aborted transaction was never published.")
def request(stage: Stage) -> None:
    """An aborted request before another one of the same partition."""
    if (why := why_not_tested(stage)) is not None:
        raise why
    job = stage.request(ECHO, "aborted")
    try:
        stage.publish_aborted(job)
    except KafkaError as error:
        raise NotTested(f"the kit cannot abort a transaction: {error}") from error
    stage.overtaken(job)
    stage.silent()
    events = stage.events(job)
    record = events[0].record if events else None
    expect(not events, "no event of an aborted request", in_words(events), record)
    expect(not stage.started(job), "no start of an aborted request", "its handler was called")


@prepared("L3-READ-COMMITTED", "An event or a command in an aborted transaction does not count.")
def ledger(stage: Stage) -> Iterator[None]:
    """Jobs of which an end, or a CANCEL, is in an aborted transaction."""
    jobs = [stage.request(ECHO, "not finished"), stage.request(ECHO, "not cancelled")]
    why = why_not_tested(stage)
    if why is None:
        for job in jobs:
            stage.publish(job)
        try:
            stage.tell_aborted(jobs[0], JobState.SUCCEEDED)
            stage.cancel_aborted(jobs[1])
        except KafkaError as error:
            why = NotTested(f"the kit cannot abort a transaction: {error}")
    yield
    if why is not None:
        raise why
    for job in jobs:
        stage.ends_as(job, JobState.SUCCEEDED)
