"""How jobs ended, as their response topic tells."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.event_head import read_head
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState

CLOCK_SKEW = timedelta(minutes=10)
"""How far the clocks of those who ask for jobs and those who do them may lie apart."""
_EARLIEST = datetime.fromtimestamp(0, UTC) + CLOCK_SKEW


def outcomes(
    config: KafkaConfig, topic: str, jobs: Collection[str], since: datetime | None, timeout: float
) -> dict[str, JobState]:
    """Return the terminal state of each of these jobs that has one: the first one there is.

    Of a topic with a million records it looks at a key for each, and at nothing else of those that
    belong to other jobs.

    :param since: when the oldest of the jobs was asked for; None reads the whole topic
    :param timeout: the longest silence of the brokers, seconds
    :raises TopicNotFound: there is no such topic
    :raises KafkaError: it cannot be read to its end
    """
    keys: dict[bytes | None, str] = {job.encode(): job for job in jobs}
    ended: dict[str, JobState] = {}
    start = () if since is None else max(since, _EARLIEST) - CLOCK_SKEW
    for batch in scan(config, topic, start, timeout=timeout):
        for message in batch:
            job = keys.get(message.key())
            if job is not None and job not in ended and (state := _end_in(message.value())):
                ended[job] = state
    return ended


def _end_in(value: bytes | None) -> JobState | None:
    try:
        state = read_head(value).state
    except RemoteProtocolError:
        return None  # whoever wrote it ended nothing that a reader could know of
    return state if state in TERMINAL else None
