"""Jobs that wait at a reader: what they are told, in order."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from queue import Empty, Queue

from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.response_records import HeadReader, event_head
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.kafka.responses.subscriptions import Arrival, Delivery, Notice, Subscription
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import StatusEvent

from ..jobs import WAIT_SECONDS


def hand_over(delivery: Delivery) -> None:
    """Tell each job on the reader's own thread."""
    for subscription, notice in delivery:
        subscription.notify(notice)


class Waiter:
    """A job that waits: what it was told, in order."""

    def __init__(self, job: str | None = None) -> None:
        self.job = job or new_correlation_id()
        self.told: Queue[Notice] = Queue()

    def join(
        self,
        reader: ResponseReader,
        start: Sequence[int] = (),
        read_head: HeadReader = event_head,
    ) -> Waiter:
        """Wait at a reader from these offsets on."""
        reader.subscribe(self.job, start, self.told.put, read_head=read_head)
        return self

    @staticmethod
    def join_together(reader: ResponseReader, count: int, start: Sequence[int]) -> list[Waiter]:
        """Wait for several jobs at once: none of them comes after the reader has failed."""
        waiters = [Waiter() for _ in range(count)]
        reader.join(
            [Subscription(each.job.encode(), array("q", start), each.told.put) for each in waiters]
        )
        return waiters

    def next(self) -> Notice:
        """Return the next thing that it is told."""
        return self.told.get(timeout=WAIT_SECONDS)

    def arrival(self) -> Arrival:
        """Return the next record that it is told of."""
        notice = self.next()
        assert isinstance(notice, Arrival), notice
        return notice

    def event(self) -> StatusEvent:
        """Return the next event that it is told of."""
        return self.arrival().event()

    def sequences(self, count: int) -> list[int]:
        """Return the sequence numbers of so many events."""
        return [self.event().sequence for _ in range(count)]

    def is_told_nothing(self, seconds: float = 0.3) -> bool:
        """Tell whether nothing more comes for a while."""
        try:
            self.told.get(timeout=seconds)
        except Empty:
            return True
        return False


def say(producer: RecordProducer, topic: str, *events: StatusEvent) -> None:
    """Publish status events and see them acknowledged."""
    sent = [producer.send(topic, each.correlation_id.encode(), encode(each), []) for each in events]
    for each in sent:
        each.result()
