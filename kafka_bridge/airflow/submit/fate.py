"""What became of the job of an earlier try: its end, or the timeout that has passed."""

from __future__ import annotations

import time
from dataclasses import dataclass

from kafka_bridge.airflow.handles import JobHandle
from kafka_bridge.airflow.kafka_access import KafkaAccess, head_reader
from kafka_bridge.airflow.specs import WaitSpec
from kafka_bridge.airflow.triggerer.timeouts import JobTimeouts
from kafka_bridge.kafka.lookups.job_events import JobEventScan
from kafka_bridge.kafka.records import location_of
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState


@dataclass(frozen=True, slots=True)
class JobEnd:
    """A job's first terminal event: its state, and where it lies."""

    state: JobState
    location: RecordLocation


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a job. ``expired`` says which timeout has passed, if the job has not ended."""

    end: JobEnd | None = None
    expired: str | None = None


def fate_of(job: JobHandle, kafka: KafkaAccess, wait: WaitSpec | None) -> Fate:
    """Look up what became of a job.

    :param wait: how its task waits for it. Its timeouts count as if the task had waited all the
        time: from the timestamps of the events. None: it does not wait
    :raises KafkaError: the response topic cannot be read
    """
    now = time.time()
    timeouts = None if wait is None else JobTimeouts(wait, began=job.submitted_at)
    read_head = head_reader(kafka.reply)
    scan = JobEventScan(
        kafka.config, job.response_topic, job.start_offsets, kafka.timeout, read_head
    )
    for _, head, message in scan.events_of({job.correlation_id.encode(): job}):
        if head is None:
            continue
        if head.state in TERMINAL:
            return Fate(JobEnd(head.state, location_of(message)))
        if timeouts is not None:  # no event is older than its job, whatever a clock says
            timeouts.apply(head, max(message.timestamp()[1] / 1000, job.submitted_at))
    expired = None if timeouts is None else timeouts.expired(now)
    return Fate(expired=None if expired is None else expired.message)
