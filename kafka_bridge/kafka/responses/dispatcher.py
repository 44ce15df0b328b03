"""Match records to waiting jobs. Records of other jobs cost one dictionary look-up each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

import confluent_kafka as ck

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.kafka.records import location_of
from kafka_bridge.kafka.response_records import candidates, id_in_headers
from kafka_bridge.kafka.responses.recent_records import Facts, RecentRecords, facts_of
from kafka_bridge.kafka.responses.subscriptions import (
    Arrival,
    Delivery,
    Notice,
    Subscription,
    bounded,
)
from kafka_bridge.protocol.errors import RecordLocation, RemoteProtocolError

_log = bounded_logger(__name__)


@dataclass(slots=True)
class ReaderCounts:
    """What a reader did since it was opened.

    ``rewinds``: how often it went back. ``unreadable``: offsets skipped because their batch cannot
    be unpacked.
    """

    records: int = 0
    matched: int = 0
    without_key: int = 0
    undecodable: int = 0
    rewinds: int = 0
    unreadable: int = 0


@dataclass(slots=True)
class Dispatcher:
    """Matches records to the waiting jobs by their keys, or by a header.

    ``waiting`` has every job that is served. ``on_error`` gets the messages with an error, which
    come among the records.
    """

    topic: str
    on_error: Callable[[ck.Message], None]
    counts: ReaderCounts = field(default_factory=ReaderCounts)
    recent: RecentRecords = field(default_factory=RecentRecords)
    waiting: dict[bytes | None, Subscription] = field(default_factory=dict)

    def admit(self, newcomers: Sequence[Subscription]) -> tuple[Delivery, list[Subscription]]:
        """Serve the jobs whose missed records are still in the window.

        Returns what they missed, and the others: for them the reader must go back.
        """
        last = {each.key: each for each in newcomers}.values()  # the latest wait for a job counts
        here: dict[bytes | None, Subscription] = {
            each.key: each for each in last if self.recent.covers(each.positions)
        }
        delivery: Delivery = []
        if here:
            for facts in candidates(self.recent, itemgetter(0), here):
                if (subscription := _addressee(facts, here)) is not None:
                    self._match(subscription, facts, delivery)
            self.serve(here.values())
        return bounded(delivery), [each for each in last if each.key not in here]

    def serve(self, subscriptions: Iterable[Subscription]) -> None:
        """Serve these jobs from now on: the reader has gone back to where they ask for."""
        for each in subscriptions:
            self.waiting[each.key] = each

    def release(self, subscription: Subscription) -> None:
        """Serve a job no longer; does nothing where another one waits under its key."""
        if self.waiting.get(subscription.key) is subscription:
            del self.waiting[subscription.key]

    def dispatch(self, batch: Sequence[ck.Message]) -> Delivery:
        """Return the notices of these records for the waiting jobs."""
        delivery: Delivery = []
        for message in candidates(batch, ck.Message.key, self.waiting):
            facts = facts_of(message)
            if (subscription := _addressee(facts, self.waiting)) is not None:
                self._match(subscription, facts, delivery)
            elif message.error() is not None:
                self.on_error(message)
            elif message.key() is None and id_in_headers(facts[-1]) is None:
                self._count_without_key(message)
        self.counts.records += len(batch)
        return bounded(delivery)

    def _match(self, subscription: Subscription, facts: Facts, delivery: Delivery) -> None:
        _, partition, offset, value, headers = facts
        if not subscription.wants(partition, offset):
            return
        location = RecordLocation(self.topic, partition, offset)
        try:
            notice: Notice = Arrival(subscription.read_head(value, headers), location, value)
            self.counts.matched += 1
        except RemoteProtocolError as error:
            notice = error.at(location)
            self.counts.undecodable += 1
            if self.counts.undecodable == 1:
                _log.warning(
                    "Skipped a record on a response topic; later ones are only counted: %s", notice
                )
        delivery.append((subscription, notice))

    def _count_without_key(self, message: ck.Message) -> None:
        self.counts.without_key += 1
        if self.counts.without_key == 1:
            _log.warning(
                "Skipped record %s, which has no key; later ones are only counted. "
                "The key of every response must be the job's correlation id",
                location_of(message),
            )


def _addressee(facts: Facts, jobs: Mapping[bytes | None, Subscription]) -> Subscription | None:
    key, *_, headers = facts
    return jobs.get(key) or jobs.get(id_in_headers(headers))
