"""When a reader of a topic has to begin anew: other partitions, one that was away, another one."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka import clients
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.responses import topic_watch
from kafka_bridge.kafka.responses.topic_watch import (
    MISSING_LOOK_SECONDS,
    MISSING_SECONDS,
    PARTITIONS_SECONDS,
    TopicWatch,
)
from kafka_bridge.protocol.errors import TopicNotFound
from kafka_bridge.testing.fakes import FakeClock, FakeConsumer

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:9"})
TOPIC = "answers"


class Consumer(FakeConsumer):
    """A consumer that counts the questions about its topic; ``error`` is how they fail."""

    def __init__(self) -> None:
        super().__init__(TOPIC, partitions=2)
        quiet: Any = SimpleNamespace(why_silent=lambda _: None, forget=lambda: None)
        self.connection_watch = quiet
        self.looks = 0
        self.error: int | None = None

    def list_topics(self, topic: str | None = None, timeout: float = -1) -> Any:
        """Return the metadata, or fail."""
        self.looks += 1
        if self.error is not None:
            raise ck.KafkaException(ck.KafkaError(self.error))
        return super().list_topics(topic, timeout)


class Ids:
    """Brokers that tell a topic's id: the next of ``answers``, the last one again and again.

    None stands for a broker that does not tell.
    """

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)
        self.asked = 0

    def make(self, *_: object) -> Any:
        """Stand in for ``kafka_bridge.kafka.clients.make``."""
        return SimpleNamespace(describe_topics=self._describe)

    def _describe(self, _: object, request_timeout: float) -> dict[str, Future[Any]]:
        assert request_timeout > 0
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        answer: Future[Any] = Future()
        if found is None:
            answer.set_exception(ck.KafkaException(ck.KafkaError(ck.KafkaError._TIMED_OUT)))
        else:
            answer.set_result(SimpleNamespace(topic_id=found))
        return {TOPIC: answer}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Give a clock that moves only by hand."""
    clock = FakeClock()
    monkeypatch.setattr(topic_watch, "time", clock)
    monkeypatch.setattr(clients, "time", clock)
    return clock


@pytest.fixture
def ids(monkeypatch: pytest.MonkeyPatch) -> Ids:
    """Give brokers whose topic is called ``first`` by its id."""
    ids = Ids("first")
    monkeypatch.setattr(topic_watch, "make", ids.make)
    return ids


@pytest.fixture
def consumer(clock: FakeClock) -> Consumer:
    """Give the reader's consumer, of a topic with two partitions."""
    assert clock.now
    return Consumer()


@pytest.fixture
def watch(consumer: Consumer) -> TopicWatch:
    """Give a watch that has just looked at the topic's partitions."""
    watch = TopicWatch(CONFIG, TOPIC)
    assert watch.partitions(consumer) == range(2)
    consumer.looks = 0
    return watch


KNOWN = range(2)


@pytest.mark.parametrize("count", [3, 1], ids=["more", "fewer"])
def test_other_partitions_are_noticed_within_half_a_minute(
    watch: TopicWatch, consumer: Consumer, clock: FakeClock, count: int
) -> None:
    """The brokers are asked no more often than that."""
    consumer.partitions[TOPIC] = count
    clock.advance(PARTITIONS_SECONDS - 1)
    assert (watch.changed(consumer, KNOWN), consumer.looks) == (None, 0)
    clock.advance(1)
    assert watch.changed(consumer, KNOWN) == range(count)
    assert watch.changed(consumer, range(count)) is None
    assert consumer.looks == 1


def test_topic_with_the_same_partitions_is_read_on(
    watch: TopicWatch, consumer: Consumer, clock: FakeClock
) -> None:
    """Nothing has to begin anew, and the next look is as far away as the one before."""
    for _ in range(2):
        clock.advance(PARTITIONS_SECONDS)
        assert watch.changed(consumer, KNOWN) is None
        assert watch.changed(consumer, KNOWN) is None
    assert consumer.looks == 2


def test_topic_that_stays_missing_counts_as_deleted_after_some_seconds(
    watch: TopicWatch, consumer: Consumer, clock: FakeClock
) -> None:
    """A broker that starts does not know it either: until then, the brokers are asked often."""
    consumer.partitions[TOPIC] = 0
    watch.note_missing()
    for look in range(1, int(MISSING_SECONDS / MISSING_LOOK_SECONDS) + 2):
        assert watch.changed(consumer, KNOWN) is None
        assert watch.changed(consumer, KNOWN) is None
        assert consumer.looks == look
        clock.advance(MISSING_LOOK_SECONDS)
        watch.note_missing()  # librdkafka says it again and again
    with pytest.raises(TopicNotFound):
        watch.changed(consumer, KNOWN)


def test_topic_that_is_missing_when_it_is_looked_at_is_looked_at_again_soon(
    watch: TopicWatch, consumer: Consumer, clock: FakeClock
) -> None:
    """Although librdkafka has not said so."""
    consumer.partitions[TOPIC] = 0
    clock.advance(PARTITIONS_SECONDS)
    assert watch.changed(consumer, KNOWN) is None
    clock.advance(MISSING_LOOK_SECONDS)
    assert watch.changed(consumer, KNOWN) is None
    assert consumer.looks == 2
    clock.advance(MISSING_SECONDS)
    with pytest.raises(TopicNotFound):
        watch.changed(consumer, KNOWN)


def test_topic_that_was_missing_for_a_moment_is_read_anew(
    watch: TopicWatch, consumer: Consumer, clock: FakeClock
) -> None:
    """It may be another one of the same name, with as many partitions. It is told once."""
    consumer.partitions[TOPIC] = 0
    watch.note_missing()
    assert watch.changed(consumer, KNOWN) is None
    consumer.partitions[TOPIC] = 2
    clock.advance(MISSING_LOOK_SECONDS)
    assert watch.changed(consumer, KNOWN) == range(2)
    clock.advance(PARTITIONS_SECONDS)
    assert watch.changed(consumer, KNOWN) is None


@pytest.mark.parametrize(
    "error",
    [ck.KafkaError._TRANSPORT, ck.KafkaError.TOPIC_AUTHORIZATION_FAILED],
    ids=["silence", "no permission"],
)
def test_brokers_that_do_not_tell_do_not_end_the_reader(
    watch: TopicWatch, consumer: Consumer, clock: FakeClock, error: int
) -> None:
    """They are asked again at the usual time."""
    consumer.error = error
    clock.advance(PARTITIONS_SECONDS)
    assert watch.changed(consumer, KNOWN) is None
    looks = consumer.looks
    clock.advance(PARTITIONS_SECONDS / 2)
    assert watch.changed(consumer, KNOWN) is None
    assert consumer.looks == looks
    consumer.error = None
    consumer.partitions[TOPIC] = 3
    clock.advance(PARTITIONS_SECONDS)
    assert watch.changed(consumer, KNOWN) == range(3)


def test_topic_is_not_deleted_because_its_broker_was_away(
    watch: TopicWatch, consumer: Consumer, clock: FakeClock
) -> None:
    """A broker that starts twice says twice that it does not know it: only that time counts."""
    consumer.partitions[TOPIC] = 0
    watch.note_missing()
    assert watch.changed(consumer, KNOWN) is None
    consumer.error = ck.KafkaError._TRANSPORT
    clock.advance(10 * MISSING_SECONDS)
    assert watch.changed(consumer, KNOWN) is None
    consumer.error = None
    clock.advance(MISSING_LOOK_SECONDS)
    assert watch.changed(consumer, KNOWN) is None
    clock.advance(MISSING_SECONDS)
    with pytest.raises(TopicNotFound):
        watch.changed(consumer, KNOWN)


# Another topic of the same name.


def asked(watch: TopicWatch, age: float) -> None:
    """Have librdkafka's metadata be so old, and wait for the look that this may cause."""
    watch.note_metadata_age(age)
    for thread in threading.enumerate():
        if thread.name == "kafka-bridge-topic-id":
            thread.join(30)


def test_recreated_topic_is_noticed_once(
    watch: TopicWatch, consumer: Consumer, clock: FakeClock, ids: Ids
) -> None:
    """Its partitions are looked at right after that: it may have others."""
    ids.answers = ["first", "second"]
    asked(watch, 0.0)
    assert not watch.was_recreated()
    clock.advance(PARTITIONS_SECONDS / 2)
    asked(watch, 20.0)
    asked(watch, 0.0)
    assert watch.was_recreated()
    assert not watch.was_recreated()
    consumer.partitions[TOPIC] = 3
    assert watch.changed(consumer, KNOWN) == range(3)


def test_id_is_asked_for_where_librdkafka_has_asked_about_the_topic(
    watch: TopicWatch, clock: FakeClock, ids: Ids
) -> None:
    """That is when its metadata becomes younger; the statistics come more often."""
    asked(watch, 0.0)
    for age in (1.0, 2.0, 3.0):
        clock.advance(PARTITIONS_SECONDS)
        asked(watch, age)
    assert ids.asked == 1
    clock.advance(PARTITIONS_SECONDS)
    asked(watch, 0.5)
    assert ids.asked == 2
    assert not watch.was_recreated()


def test_id_that_could_not_be_read_is_asked_for_again(
    watch: TopicWatch, clock: FakeClock, ids: Ids
) -> None:
    """After a second where brokers have told it before: a topic that is recreated is missing."""
    ids.answers = ["first", None, "second"]
    asked(watch, 0.0)
    clock.advance(PARTITIONS_SECONDS)
    asked(watch, 20.0)
    asked(watch, 0.0)
    assert (ids.asked, watch.was_recreated()) == (2, False)
    asked(watch, 0.5)
    assert ids.asked == 2
    clock.advance(MISSING_LOOK_SECONDS + 0.1)
    asked(watch, 1.5)
    assert watch.was_recreated()


def test_brokers_that_never_tell_an_id_are_not_asked_all_the_time(
    watch: TopicWatch, clock: FakeClock, ids: Ids
) -> None:
    """Older ones do not have it, and others may not tell: that ends no reader."""
    ids.answers = [None]
    for age in range(60):
        asked(watch, float(age))
        clock.advance(1.0)
    assert ids.asked == 2
    assert not watch.was_recreated()
