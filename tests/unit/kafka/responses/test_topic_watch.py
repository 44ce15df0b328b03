"""When a reader of a topic has to begin anew: other partitions, one that was away, another one."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka import clients, offsets
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import TopicOffsets
from kafka_bridge.kafka.responses import topic_watch
from kafka_bridge.kafka.responses.topic_watch import (
    MISSING_LOOK_SECONDS,
    MISSING_SECONDS,
    PARTITIONS_SECONDS,
    TopicWatch,
)
from kafka_bridge.protocol.errors import TopicNotFound
from kafka_bridge.testing.fakes import FakeClock
from kafka_bridge.testing.fakes.metadata import topic_metadata
from unit.clocks import clock_of

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:9"})
TOPIC = "answers"


class Brokers:
    """An admin client that counts the questions about a topic; ``error`` is how they fail.

    ``ids`` are what it tells as the topic's id, one after the other, the last one again and again;
    None stands for a broker that does not tell.
    """

    def __init__(self) -> None:
        quiet: Any = SimpleNamespace(why_silent=lambda _: None, forget=lambda: None)
        self.connection_watch = quiet
        self.partitions = 2
        self.looks = 0
        self.error: int | None = None
        self.ids: list[str | None] = ["first"]
        self.asked = 0

    def poll(self, _: float) -> int:
        """Serve no callback."""
        return 0

    def list_topics(self, topic: str, timeout: float) -> Any:
        """Return the metadata, or fail."""
        assert timeout > 0
        self.looks += 1
        if self.error is not None:
            raise ck.KafkaException(ck.KafkaError(self.error))
        return topic_metadata({TOPIC: self.partitions}, topic)

    def describe_topics(self, _: object, request_timeout: float) -> dict[str, Future[Any]]:
        """Tell the next id."""
        assert request_timeout > 0
        self.asked += 1
        found = self.ids.pop(0) if len(self.ids) > 1 else self.ids[0]
        answer: Future[Any] = Future()
        if found is None:
            answer.set_exception(ck.KafkaException(ck.KafkaError(ck.KafkaError._TIMED_OUT)))
        else:
            answer.set_result(SimpleNamespace(topic_id=found))
        return {TOPIC: answer}


clock = clock_of(topic_watch, clients)


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    """Give the brokers of a topic with two partitions."""
    brokers = Brokers()
    monkeypatch.setattr(offsets, "make", lambda *_: brokers)
    return brokers


@pytest.fixture
def watch(brokers: Brokers, clock: FakeClock) -> TopicWatch:
    """Give a watch that has just looked at the topic's partitions."""
    assert clock.now
    watch = TopicWatch(TopicOffsets(CONFIG), TOPIC)
    assert watch.partitions() == range(2)
    brokers.looks = 0
    return watch


KNOWN = range(2)


@pytest.mark.parametrize("count", [3, 1], ids=["more", "fewer"])
def test_other_partitions_are_noticed_within_half_a_minute(
    watch: TopicWatch, brokers: Brokers, clock: FakeClock, count: int
) -> None:
    """The brokers are asked no more often than that."""
    brokers.partitions = count
    clock.advance(PARTITIONS_SECONDS - 1)
    assert (watch.changed(KNOWN), brokers.looks) == (None, 0)
    clock.advance(1)
    assert watch.changed(KNOWN) == range(count)
    assert watch.changed(range(count)) is None
    assert brokers.looks == 1


def test_topic_with_the_same_partitions_is_read_on(
    watch: TopicWatch, brokers: Brokers, clock: FakeClock
) -> None:
    """Nothing has to begin anew, and the next look is as far away as the one before."""
    for _ in range(2):
        clock.advance(PARTITIONS_SECONDS)
        assert watch.changed(KNOWN) is None
        assert watch.changed(KNOWN) is None
    assert brokers.looks == 2


def test_topic_that_stays_missing_counts_as_deleted_after_some_seconds(
    watch: TopicWatch, brokers: Brokers, clock: FakeClock
) -> None:
    """A broker that starts does not know it either: until then, the brokers are asked often."""
    brokers.partitions = 0
    watch.note_missing()
    for look in range(1, int(MISSING_SECONDS / MISSING_LOOK_SECONDS) + 2):
        assert watch.changed(KNOWN) is None
        assert watch.changed(KNOWN) is None
        assert brokers.looks == look
        clock.advance(MISSING_LOOK_SECONDS)
        watch.note_missing()  # librdkafka says it again and again
    with pytest.raises(TopicNotFound):
        watch.changed(KNOWN)


def test_topic_that_is_missing_when_it_is_looked_at_is_looked_at_again_soon(
    watch: TopicWatch, brokers: Brokers, clock: FakeClock
) -> None:
    """Although librdkafka has not said so."""
    brokers.partitions = 0
    clock.advance(PARTITIONS_SECONDS)
    assert watch.changed(KNOWN) is None
    clock.advance(MISSING_LOOK_SECONDS)
    assert watch.changed(KNOWN) is None
    assert brokers.looks == 2
    clock.advance(MISSING_SECONDS)
    with pytest.raises(TopicNotFound):
        watch.changed(KNOWN)


def test_topic_that_was_missing_for_a_moment_is_read_anew(
    watch: TopicWatch, brokers: Brokers, clock: FakeClock
) -> None:
    """It may be another one of the same name, with as many partitions. It is told once."""
    brokers.partitions = 0
    watch.note_missing()
    assert watch.changed(KNOWN) is None
    brokers.partitions = 2
    clock.advance(MISSING_LOOK_SECONDS)
    assert watch.changed(KNOWN) == range(2)
    clock.advance(PARTITIONS_SECONDS)
    assert watch.changed(KNOWN) is None


@pytest.mark.parametrize(
    "error",
    [ck.KafkaError._TRANSPORT, ck.KafkaError.TOPIC_AUTHORIZATION_FAILED],
    ids=["silence", "no permission"],
)
def test_brokers_without_an_answer_do_not_end_the_reader(
    watch: TopicWatch, brokers: Brokers, clock: FakeClock, error: int
) -> None:
    """They are asked again at the usual time."""
    brokers.error = error
    clock.advance(PARTITIONS_SECONDS)
    assert watch.changed(KNOWN) is None
    looks = brokers.looks
    clock.advance(PARTITIONS_SECONDS / 2)
    assert watch.changed(KNOWN) is None
    assert brokers.looks == looks
    brokers.error = None
    brokers.partitions = 3
    clock.advance(PARTITIONS_SECONDS)
    assert watch.changed(KNOWN) == range(3)


def test_topic_is_not_deleted_because_its_broker_was_away(
    watch: TopicWatch, brokers: Brokers, clock: FakeClock
) -> None:
    """A broker that starts twice says twice that it does not know it: only that time counts."""
    brokers.partitions = 0
    watch.note_missing()
    assert watch.changed(KNOWN) is None
    brokers.error = ck.KafkaError._TRANSPORT
    clock.advance(10 * MISSING_SECONDS)
    assert watch.changed(KNOWN) is None
    brokers.error = None
    clock.advance(MISSING_LOOK_SECONDS)
    assert watch.changed(KNOWN) is None
    clock.advance(MISSING_SECONDS)
    with pytest.raises(TopicNotFound):
        watch.changed(KNOWN)


# Another topic of the same name.


def is_another(watch: TopicWatch, age: float) -> bool:
    """Have librdkafka's metadata be so old, and tell what the watch finds."""
    watch.note_metadata_age(age)
    return watch.was_recreated()


def test_recreated_topic_is_noticed_once(
    watch: TopicWatch, brokers: Brokers, clock: FakeClock
) -> None:
    """Its partitions are looked at right after that: it may have others."""
    brokers.ids = ["first", "second"]
    assert not is_another(watch, 0.0)
    clock.advance(PARTITIONS_SECONDS / 2)
    assert not is_another(watch, PARTITIONS_SECONDS / 2)
    assert is_another(watch, 0.0)
    assert not watch.was_recreated()
    brokers.partitions = 3
    assert watch.changed(KNOWN) == range(3)


def test_id_is_asked_for_where_librdkafka_has_asked_about_the_topic(
    watch: TopicWatch, brokers: Brokers, clock: FakeClock
) -> None:
    """The statistics, which tell when that was, come more often."""
    assert not is_another(watch, 0.0)
    for age in (1.0, 2.0, 3.0):
        clock.advance(1.0)
        assert not is_another(watch, age)
    assert brokers.asked == 1
    clock.advance(1.0)
    assert not is_another(watch, 0.5)
    assert brokers.asked == 2


def test_id_is_asked_for_after_a_question_of_a_new_consumer(
    watch: TopicWatch, brokers: Brokers, clock: FakeClock
) -> None:
    """It has its statistics a second later, as the one before it had: the age is the same."""
    for _ in range(2):
        clock.advance(1.1)
        assert not is_another(watch, 0.9)
    assert brokers.asked == 2


def test_id_that_could_not_be_read_is_asked_for_again(
    watch: TopicWatch, brokers: Brokers, clock: FakeClock
) -> None:
    """After a second where brokers have told it before: a topic that is recreated is missing."""
    brokers.ids = ["first", None, "second"]
    assert not is_another(watch, 0.0)
    clock.advance(PARTITIONS_SECONDS)
    assert not is_another(watch, 0.0)
    assert not is_another(watch, 0.0)
    assert brokers.asked == 2
    clock.advance(MISSING_LOOK_SECONDS + 0.1)
    assert is_another(watch, MISSING_LOOK_SECONDS + 0.1)


def test_brokers_without_topic_ids_are_not_asked_all_the_time(
    watch: TopicWatch, brokers: Brokers, clock: FakeClock
) -> None:
    """Old brokers have none; the reader goes on."""
    brokers.ids = [None]
    for age in range(60):
        assert not is_another(watch, float(age))
        clock.advance(1.0)
    assert brokers.asked == 2
