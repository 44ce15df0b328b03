"""What the bare worker reads from the response topic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import confluent_kafka as ck

from integration.conformance.faults import fault
from kafka_bridge.protocol.checkpoint import checkpoint_in
from kafka_bridge.protocol.codec import decode, detect, encode
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState, StatusEvent


@dataclass
class Known:
    """What was published of a job."""

    is_finished: bool = False
    delivery: int = 0
    released: int = 0
    checkpoint: str | None = None

    @property
    def interrupted(self) -> int:
        """How many deliveries had no end, and were not released."""
        return self.delivery - self.released


class Ledger:
    """The events of all jobs."""

    def __init__(self) -> None:
        self._jobs: dict[str, Known] = defaultdict(Known)

    def of(self, job: str) -> Known:
        """Return what is known of a job."""
        return self._jobs.get(job, Known())

    def read(self, consumer: ck.Consumer, topic: str) -> None:
        """Read a topic from its beginning to its end."""
        for message in read_to_end(consumer, topic):
            try:
                event = decode(StatusEvent, message.value())
            except RemoteProtocolError:
                if fault("dies-of-odd-records"):
                    raise
                continue
            if fault("refuses-slips") and not _is_exact(event, message.value()):
                continue
            if fault("refuses-attributes") and event.attributes:
                continue
            self._take(event)
        consumer.close()

    def _take(self, event: StatusEvent) -> None:
        known = self._jobs[event.correlation_id]
        if event.state in TERMINAL:
            known.is_finished = True
        elif fault("last-event-wins"):
            known.is_finished = False
        if event.delivery >= known.delivery:
            known.checkpoint = checkpoint_in(event) or known.checkpoint
        known.delivery = max(known.delivery, event.delivery)
        known.released += event.state is JobState.RELEASED


def _is_exact(event: StatusEvent, value: bytes | None) -> bool:
    """Tell whether an event has no invalid fields, which are left out when it is read."""
    assert value is not None
    return len(encode(event, detect(value))) <= len(value)


def read_to_end(consumer: ck.Consumer, topic: str) -> Iterator[ck.Message]:
    """Yield what is in a topic now; its partitions stay assigned."""
    count = len(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
    places = [ck.TopicPartition(topic, number, 0) for number in range(count)]
    ends = {
        place.partition: consumer.get_watermark_offsets(place, timeout=30)[1] for place in places
    }
    consumer.assign(places)
    reached = dict.fromkeys(ends, 0)
    while any(reached[number] < end for number, end in ends.items()):
        message = consumer.poll(0.1)
        if message is None:
            continue
        if (error := message.error()) is None:
            yield message
        elif error.code() != ck.KafkaError._PARTITION_EOF:
            continue
        # Aborted records and markers have offsets, too: the end comes without a record.
        following = (message.offset() or 0) + (error is None)
        reached[message.partition() or 0] = following
