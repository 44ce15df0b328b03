"""What the records of topics tell about clocks.

Kafka's protocol does not tell a client the brokers' time, and a check must not write a record. But
the brokers tell the newest timestamp of a partition (KIP-734). A timestamp in the future shows that
a clock is wrong: this machine's, or that of the record's writer. A clock that is fast on this
machine cannot be seen, because an old timestamp may be that of an old record.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from kafka_bridge.findings import Finding, error, ok, warning
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.job_events import CLOCK_SKEW
from kafka_bridge.kafka.offsets import TopicOffsets
from kafka_bridge.protocol.errors import KafkaBridgeError

NOTICED_SECONDS = 5.0
"""A smaller difference is not mentioned."""
SYNCHRONISE = "Synchronise the clocks of this machine and of all writers (NTP)."
ONE_SIDED = "Kafka does not tell its time: a clock that is fast on this machine cannot be seen"


def clocks(config: KafkaConfig, topics: Iterable[str], seconds: float) -> Iterator[Finding]:
    """Yield whether a record of these topics is dated in the future."""
    offsets = TopicOffsets(config)
    newest = dict[str, float]()
    for topic in topics:
        try:
            found = offsets.newest(topic, seconds / 6)
        except KafkaBridgeError as failure:
            yield warning(f"the newest timestamp of topic {topic!r} is not known: {failure}")
            continue
        if found is not None:
            newest[topic] = found - time.time()
    yield from findings_about(newest)


def findings_about(ahead: dict[str, float]) -> Iterator[Finding]:
    """Yield what the newest timestamps mean.

    :param ahead: by topic, how many seconds its newest timestamp is in the future; negative for
        the past
    """
    late = {topic: seconds for topic, seconds in ahead.items() if seconds > NOTICED_SECONDS}
    for topic, seconds in late.items():
        level = error if seconds > CLOCK_SKEW.total_seconds() else warning
        yield level(
            f"the newest record of topic {topic!r} is dated {seconds:,.0f} s in the future: the "
            "clock of this machine is slow, or that of the record's writer is fast",
            SYNCHRONISE,
        )
    if not ahead:
        yield ok(f"nothing can be said: the topics have no record. {ONE_SIDED}")
    elif not late:
        yield ok(f"no record is dated in the future. {ONE_SIDED}")
