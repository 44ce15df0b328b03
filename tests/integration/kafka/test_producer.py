"""The producer on a real Kafka: acknowledged records are in the topic, others have an error."""

from __future__ import annotations

import ctypes
import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import confluent_kafka as ck
import pytest

from integration.jobs import WAIT_SECONDS, config_of
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import end_offsets, read_record
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.errors import (
    BrokerUnreachable,
    DeliveryFailed,
    KafkaError,
    RecordLocation,
    RecordTooLarge,
    TopicNotFound,
)
from kafka_bridge.testing import ApacheKafka, Broker
from kafka_bridge.testing.ports import free_port

if TYPE_CHECKING:
    from conftest import Eventually, TopicFactory


def test_acknowledged_record_is_in_the_topic(real_broker: Broker, topics: TopicFactory) -> None:
    """Publishing returns its position; key, value and headers are unchanged."""
    config = config_of(real_broker.bootstrap_servers)
    topic = topics(partitions=3)
    with RecordProducer(config) as producer:
        places = [producer.publish(topic, b"k", b"%d" % n, [("h", b"x")]) for n in range(2)]
    first, second = places
    assert second == RecordLocation(topic, first.partition, first.offset + 1)
    record = read_record(config, second, WAIT_SECONDS)
    assert (record.location, record.key, record.value) == (second, b"k", b"1")
    assert record.headers == [("h", b"x")]
    assert abs(record.timestamp_ms / 1000 - time.time()) < WAIT_SECONDS


@pytest.mark.parametrize(
    ("key", "partition"),
    [
        # Java's Utils.toPositive(Utils.murmur2(key)) % 6, as Kafka's own tests have the hashes.
        (b"21", (-973932308 & 0x7FFFFFFF) % 6),
        (b"foobar", (-790332482 & 0x7FFFFFFF) % 6),
        (b"a-little-bit-long-string", (-985981536 & 0x7FFFFFFF) % 6),
        (b"abc", (479470107 & 0x7FFFFFFF) % 6),
    ],
)
def test_partitions_are_those_of_java(
    real_broker: Broker, topics: TopicFactory, key: bytes, partition: int
) -> None:
    """A key has the partition of Java's clients, so all events of a job are in one partition."""
    topic = topics(partitions=6)
    config = config_of(real_broker.bootstrap_servers, partitioner="random")
    with RecordProducer(config) as producer:
        assert producer.publish(topic, key, b"v", []).partition == partition


def test_close_waits_for_all_records(real_broker: Broker, topics: TopicFactory) -> None:
    """Sending returns at once; closing waits until every record has an outcome, in order."""
    topic = topics()
    with RecordProducer(config_of(real_broker.bootstrap_servers)) as producer:
        sent = [producer.send(topic, b"k", b"%d" % n, []) for n in range(500)]
    assert [each.result(0).offset for each in sent] == list(range(500))


def test_record_above_the_clients_limit_is_refused(
    real_broker: Broker, topics: TopicFactory
) -> None:
    """A record larger than message.max.bytes never leaves; the error has size, topic and advice."""
    topic = topics()
    with (
        RecordProducer(config_of(real_broker.bootstrap_servers)) as producer,
        pytest.raises(RecordTooLarge) as caught,
    ):
        producer.publish(topic, b"k", bytes(1_500_000), [])
    assert f"1,500,000 bytes is too large for topic '{topic}'" in str(caught.value)
    assert "send a reference to it" in str(caught.value)
    assert "'message.max.bytes'" in str(caught.value)


def test_record_above_the_brokers_limit_is_refused(
    real_broker: Broker, topics: TopicFactory
) -> None:
    """Above the topic's max.message.bytes; other records are published."""
    topic = topics(config={"max.message.bytes": "2000"})
    with RecordProducer(config_of(real_broker.bootstrap_servers)) as producer:
        with pytest.raises(RecordTooLarge) as caught:
            producer.publish(topic, b"k", bytes(5_000), [])
        assert producer.publish(topic, b"k", bytes(500), []).offset == 0
    assert f"5,000 bytes is too large for topic '{topic}': Broker: " in str(caught.value)
    assert "'max.message.bytes'" in str(caught.value)


def test_record_does_not_fail_because_of_others_in_its_batch(
    real_broker: Broker, topics: TopicFactory
) -> None:
    """A broker refuses a batch as a whole: a large record, or their sum, fails no other record."""
    topic = topics(partitions=1, config={"max.message.bytes": "100000"})
    values = [bytes(100), bytes(300_000), bytes(100), *[bytes(60_000)] * 4]
    config = config_of(real_broker.bootstrap_servers, linger_ms=100)
    with RecordProducer(config) as producer:
        sent = [producer.send(topic, b"k", value, []) for value in values]
        refused = [each.exception(WAIT_SECONDS) for each in sent]
    assert [type(error) for error in refused if error is not None] == [RecordTooLarge]
    assert refused[1] is not None


@pytest.mark.parametrize("name", ["no.such.topic", "no such topic!", "no\0such.topic"])
def test_missing_topic_is_named_and_not_created(real_broker: Broker, name: str) -> None:
    """The error of a missing or invalid topic names it and how to create it."""
    config = config_of(real_broker.bootstrap_servers)
    before = time.monotonic()
    with RecordProducer(config, delivery_timeout=4) as producer:
        with pytest.raises(
            TopicNotFound, match=f"topic {re.escape(repr(name))} does not exist on Kafka at"
        ):
            producer.publish(name, b"k", b"v", [])
        assert time.monotonic() - before < 20
    with pytest.raises(TopicNotFound):
        end_offsets(config, [name], WAIT_SECONDS)


def test_missing_topic_is_named_with_the_usual_timeout(real_broker: Broker) -> None:
    """The default delivery timeout does not report it as unreachable brokers."""
    before = time.monotonic()
    with (
        RecordProducer(config_of(real_broker.bootstrap_servers)) as producer,
        pytest.raises(TopicNotFound),
    ):
        producer.publish("no.such.topic", b"k", b"v", [])
    assert time.monotonic() - before < 25


def test_one_failure_does_not_stop_the_others(real_broker: Broker, topics: TopicFactory) -> None:
    """Records for other topics are published while one for a missing topic waits for its error."""
    topic = topics()
    with RecordProducer(config_of(real_broker.bootstrap_servers), delivery_timeout=6) as producer:
        bad = producer.send("no.such.topic", b"k", b"v", [])
        assert producer.publish(topic, b"k", b"v", []).offset == 0
        assert not bad.done()
        assert isinstance(bad.exception(30), TopicNotFound)


def test_unreachable_brokers_are_named_in_time() -> None:
    """Within the delivery timeout, with the addresses."""
    servers = f"127.0.0.1:{free_port()}"
    before = time.monotonic()
    with RecordProducer(config_of(servers), delivery_timeout=2) as producer:
        with pytest.raises(BrokerUnreachable, match=f"no Kafka broker answered at {servers}"):
            producer.publish("t", b"k", b"v", [])
        assert time.monotonic() - before < 20


def test_frozen_broker_fails_the_record_in_time(private_broker: ApacheKafka) -> None:
    """A broker that keeps its connections and does not answer counts as unreachable.

    When it continues, so does the producer, and the failed record is not in the topic twice.
    """
    private_broker.create_topic("t")
    config = config_of(private_broker.bootstrap_servers)
    with RecordProducer(config, delivery_timeout=5) as producer:
        first = until_published(producer, "t")
        private_broker.pause()
        before = time.monotonic()
        with pytest.raises(BrokerUnreachable, match=private_broker.bootstrap_servers):
            producer.publish("t", b"k", b"lost", [])
        assert time.monotonic() - before < 20
        private_broker.resume()
        assert until_published(producer, "t") - first in {1, 2}


def until_published(producer: RecordProducer, topic: str) -> int:
    """Return the offset of a record, tried until the brokers take it, for at most 30 s."""
    give_up = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return producer.publish(topic, b"k", b"after", []).offset
        except KafkaError:
            if time.monotonic() > give_up:
                raise


def test_closed_producer_holds_no_record_back(real_broker: Broker, topics: TopicFactory) -> None:
    """Every record is visible to read_committed consumers: there are no transactions."""
    topic = topics()
    config = config_of(real_broker.bootstrap_servers, transactional_id="theirs")
    with RecordProducer(config) as producer:
        producer.send(topic, b"k", b"v", [])
    consumer = ck.Consumer(config.reader("test"))
    try:
        partition = ck.TopicPartition(topic, 0)
        assert consumer.get_watermark_offsets(partition, timeout=WAIT_SECONDS) == (0, 1)
    finally:
        consumer.close()


def test_fatal_error_of_the_producer_is_raised(real_broker: Broker, topics: TopicFactory) -> None:
    """By ``check``; the reports of records arrive all the same."""
    topic = topics(partitions=1)
    with RecordProducer(config_of(real_broker.bootstrap_servers)) as producer:
        producer.publish(topic, b"k", b"v", [])
        producer.check()
        provoke_fatal_error(producer)
        with pytest.raises(DeliveryFailed, match="Local: Fatal error"):
            producer.publish(topic, b"k", b"v", [])
        with pytest.raises(DeliveryFailed, match="failed while sending: test_fatal_error: the log"):
            check_for_seconds(producer)


def check_for_seconds(producer: RecordProducer) -> None:
    """Check for some time: librdkafka reports its errors on its own thread."""
    for _ in range(200):
        producer.check()
        time.sleep(0.02)


def provoke_fatal_error(producer: RecordProducer) -> None:
    """Cause a fatal error, as librdkafka's own tests do."""
    (library,) = Path(ck.__file__).parent.parent.glob("confluent_kafka.libs/librdkafka*")
    handle = ctypes.c_void_p.from_address(id(producer._producer) + object.__basicsize__)
    code = ck.KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER
    ctypes.CDLL(str(library)).rd_kafka_test_fatal_error(handle, code, b"the log was cut")


def test_reports_are_served_by_a_busy_thread_or_else_by_an_own_one(
    real_broker: Broker, topics: TopicFactory, eventually: Eventually
) -> None:
    """Only one of them serves at a time; ``served`` is called after each round."""
    topic, heard, served = topics(), list[str](), list[int]()

    def hear(_: Exception | None) -> None:
        heard.append(threading.current_thread().name)

    config = config_of(real_broker.bootstrap_servers)
    with RecordProducer(config, served=lambda: served.append(len(heard))) as producer:
        begin = time.monotonic()
        delivering = False
        while not heard and time.monotonic() < begin + WAIT_SECONDS:
            producer.serve_reports()
            time.sleep(0.001)
            if not delivering and time.monotonic() > begin + 0.2:  # by then the other keeps still
                producer.deliver(topic, b"k", b"v", [], hear)
                delivering = True
        assert heard == [threading.current_thread().name]
        assert served[-1] == 1
        producer.leave_reports()
        producer.deliver(topic, b"k", b"v", [], hear)
        eventually(lambda: served[-1:] == [2], "the other one is told")
        assert heard[1:] == ["kafka-bridge-producer"]


def test_reports_are_served_if_the_busy_thread_does_not_return(
    real_broker: Broker, topics: TopicFactory, eventually: Eventually
) -> None:
    """It may be blocked, or forget to leave them: no report is lost."""
    topic, heard = topics(), list[Exception | None]()
    with RecordProducer(config_of(real_broker.bootstrap_servers)) as producer:
        producer.serve_reports()
        producer.deliver(topic, b"k", b"v", [], heard.append)
        eventually(lambda: heard == [None], "it is told")


class SmallQueue(KafkaConfig):
    """A producer with room for two records."""

    def producer(self, delivery_timeout: float) -> dict[str, Any]:
        """Return settings of a producer with little room."""
        return {**super().producer(delivery_timeout), "queue.buffering.max.messages": 2}


def test_full_queue_does_not_block_a_thread_that_polls() -> None:
    """Its record is refused at once; a thread that may wait gets room, or the error in time."""
    told: list[Exception | None] = []
    config = SmallQueue({"bootstrap.servers": f"127.0.0.1:{free_port()}"})
    with RecordProducer(config, delivery_timeout=3.0) as producer:
        for _ in range(2):
            producer.deliver("topic", b"k", b"v", [], lambda _: None)
        began = time.monotonic()
        producer.deliver("topic", b"k", b"v", [], told.append)
        assert time.monotonic() - began < 1.0
        assert isinstance(told[0], DeliveryFailed)
        assert "the send queue is full" in str(told[0])
        producer.deliver("topic", b"k", b"v", [], told.append, wait=True)
        assert time.monotonic() - began > 1.0
