"""Which record is for which job. Foreign records cost one dictionary look-up each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import confluent_kafka as ck

from kafka_bridge.kafka.notices import Arrival, Delivery, Notice, Subscription
from kafka_bridge.kafka.recent import RecentRecords
from kafka_bridge.kafka.records import location_of
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.event_head import read_head

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class ReaderCounts:
    """What a reader did since it was opened. ``rewinds``: how often it went back."""

    records: int = 0
    matched: int = 0
    without_key: int = 0
    undecodable: int = 0
    rewinds: int = 0


@dataclass(slots=True)
class Dispatcher:
    """Matches records to the waiting jobs by their keys.

    ``waiting`` has every job that is served; its key None finds the records without a key, and
    errors, which have none either. ``on_error`` is told of those.
    """

    on_error: Callable[[ck.KafkaError], None]
    counts: ReaderCounts = field(default_factory=ReaderCounts)
    recent: RecentRecords = field(default_factory=RecentRecords)
    waiting: dict[bytes | None, Subscription | None] = field(default_factory=lambda: {None: None})

    def subscriptions(self) -> list[Subscription]:
        """Return all the jobs that wait here."""
        return [each for each in self.waiting.values() if each is not None]

    def admit(self, newcomers: Sequence[Subscription]) -> tuple[Delivery, list[Subscription]]:
        """Serve the jobs for which all that they missed is at hand.

        Returns what they missed, and the others: for them the reader must go back.
        """
        here = {each.key: each for each in newcomers if self.recent.covers(each.positions)}
        delivery: Delivery = []
        if here:
            for message in self.recent.with_key_in(here):
                self._match(here[message.key()], message, delivery)  # type: ignore[index]
            self.serve(here.values())
        return delivery, [each for each in newcomers if here.get(each.key) is not each]

    def serve(self, subscriptions: Iterable[Subscription]) -> None:
        """Serve these jobs from now on: the reader has gone back to where they ask for."""
        for each in subscriptions:
            self.waiting[each.key] = each

    def release(self, subscription: Subscription) -> None:
        """Serve a job no longer; does nothing where another one waits under its key."""
        if self.waiting.get(subscription.key) is subscription:
            del self.waiting[subscription.key]

    def dispatch(self, batch: Sequence[ck.Message]) -> Delivery:
        """Return what these records have for the waiting jobs."""
        waiting = self.waiting
        delivery: Delivery = []
        for message in [each for each in batch if each.key() in waiting]:
            subscription = waiting[message.key()]
            if subscription is not None:
                self._match(subscription, message, delivery)
            elif (error := message.error()) is not None:
                self.on_error(error)
            else:
                self._count_without_key(message)
        self.counts.records += len(batch)
        return delivery

    def _match(self, subscription: Subscription, message: ck.Message, delivery: Delivery) -> None:
        if not subscription.wants(message.partition(), message.offset()):  # type: ignore[arg-type]
            return
        try:
            notice: Notice = Arrival(read_head(message.value()), message)
            self.counts.matched += 1
        except RemoteProtocolError as error:
            notice = error.at(location_of(message))
            self.counts.undecodable += 1
            if self.counts.undecodable == 1:
                _log.warning(
                    "Record on a response topic is passed over, and others may be: %s", notice
                )
        delivery.append((subscription, notice))

    def _count_without_key(self, message: ck.Message) -> None:
        self.counts.without_key += 1
        if self.counts.without_key == 1:
            _log.warning(
                "Record %s has no key and is passed over, as are others like it: "
                "the key of every response is the job's correlation id",
                location_of(message),
            )
