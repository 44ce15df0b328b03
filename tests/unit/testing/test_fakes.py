"""The fakes behave like the objects that they replace, as far as tests rely on it."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import TYPE_CHECKING, Any, cast

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka import consumer as consumer_module
from kafka_bridge.kafka import producer as producer_module
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.consumer import Position, RequestConsumer
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import (
    AccessDenied,
    BrokerUnreachable,
    DeliveryFailed,
    RecordTooLarge,
)
from kafka_bridge.protocol.messages import Command, JobCommand, utc_now
from kafka_bridge.testing.fakes import (
    FakeClock,
    FakeConsumer,
    FakeProducer,
    FakeRecordProducer,
)

if TYPE_CHECKING:
    from conftest import Eventually

CONFIG = KafkaConfig({"bootstrap.servers": "127.0.0.1:1"})


# The clock.


def test_clock_moves_only_when_it_is_moved() -> None:
    """Its three times agree, and a sleep takes no time."""
    clock = FakeClock(100.0)
    clock.sleep(5.0)
    clock.advance(0.5)
    assert clock.time() == clock.monotonic() == 105.5
    assert clock.time_ns() == 105_500_000_000
    assert clock.slept == [5.0]


def test_clock_does_not_go_back() -> None:
    """A negative step is a mistake in the test."""
    with pytest.raises(ValueError, match=r"does not go back: advance\(-1\)"):
        FakeClock().advance(-1)


async def test_async_sleep_lets_other_tasks_run() -> None:
    """Like asyncio's own sleep, even for zero seconds."""
    clock, order = FakeClock(0.0), list[str]()

    async def other() -> None:
        order.append("other")

    task = asyncio.create_task(other())
    await clock.async_sleep(60.0)
    order.append("slept")
    await task
    assert (order, clock.now) == (["other", "slept"], 60.0)


# The bridge's producer.


def test_fake_record_producer_replaces_every_public_method() -> None:
    """An inherited method would use a client that does not exist."""
    public = {name for name, _ in inspect.getmembers(RecordProducer, inspect.isfunction)}
    missing = {name for name in public if not name.startswith("_")} - set(vars(FakeRecordProducer))
    assert not missing


def test_record_is_acknowledged_at_once_and_kept() -> None:
    """The record can be decoded; offsets are consecutive."""
    producer = FakeRecordProducer()
    job = "0d3b9a52-61f4-4c0e-9b7d-3f2a1c5e7d01"
    command = JobCommand(correlation_id=job, command=Command.CANCEL, issued_at=utc_now())

    with producer.open(CONFIG, 5.0) as opened:
        places = [opened.publish("control", b"k", encode(command), []) for _ in range(2)]
    assert [(each.topic, each.offset) for each in places] == [("control", 0), ("control", 1)]
    assert producer.sent[0].decode(JobCommand) == command
    assert (producer.opened, producer.closed) == (1, 1)


def test_scripted_failures_come_before_the_rule() -> None:
    """The next records fail as scripted, later ones if the rule refuses them."""
    producer = FakeRecordProducer(lambda each: DeliveryFailed("empty") if not each.value else None)
    producer.fail(BrokerUnreachable("away"), times=2)
    outcomes = [producer.send("t", None, value, []) for value in (b"1", b"2", b"3", b"")]
    errors = [type(each.exception()) for each in outcomes]
    assert errors == [BrokerUnreachable, BrokerUnreachable, type(None), DeliveryFailed]
    assert [each.value for each in producer.acknowledged] == [b"3"]


def test_held_records_wait_for_their_acknowledgement() -> None:
    """In order; a held record may also fail."""
    producer, reports = FakeRecordProducer(), list[Exception | None]()
    producer.hold()
    for value in (b"1", b"2", b"3"):
        producer.deliver("t", None, value, [], reports.append)
    assert (producer.in_flight, reports) == (3, [])
    assert producer.acknowledge(most=1) == 1
    gone = DeliveryFailed("gone")
    producer.acknowledge(gone, most=1)
    producer.release()
    producer.deliver("t", None, b"4", [], reports.append)
    assert reports == [None, gone, None, None]
    assert [each.value for each in producer.acknowledged] == [b"1", b"3", b"4"]


def test_publishing_while_records_are_held_fails_instead_of_blocking() -> None:
    """A test that hangs is worse than one that fails."""
    producer = FakeRecordProducer()
    producer.hold()
    with pytest.raises(TimeoutError):
        producer.publish("t", None, None, [])


def test_producer_with_a_fatal_error_raises_it() -> None:
    """Like the real one."""
    producer = FakeRecordProducer()
    producer.check()
    producer.fatal = DeliveryFailed("fatal")
    with pytest.raises(DeliveryFailed, match="fatal"):
        producer.check()


# confluent_kafka's producer, under the bridge's real one.


def test_exception_of_a_callback_loses_no_other_report() -> None:
    """Like the real client: the poll raises it, and the next poll serves the other reports."""
    client, reported = FakeProducer(), list[int]()

    def report(number: int) -> None:
        reported.append(number)
        if number in {1, 3}:
            raise RuntimeError(f"callback {number}")

    for number in range(6):
        client.produce("t", on_delivery=lambda *_, number=number: report(number))
    with pytest.raises(RuntimeError, match="callback 1"):
        client.poll(0)
    assert (reported, len(client)) == ([0, 1], 4)
    with pytest.raises(RuntimeError, match="callback 3"):
        client.flush()
    assert (reported, len(client)) == ([0, 1, 2, 3, 4, 5], 0)


def test_client_reports_success_and_failure_to_the_real_producer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The code of an error becomes the bridge's error."""
    client = FakeProducer()
    monkeypatch.setattr(producer_module, "make", client.make)
    client.fail(ck.KafkaError.MSG_SIZE_TOO_LARGE)
    with RecordProducer(CONFIG) as producer:
        with pytest.raises(RecordTooLarge):
            producer.publish("t", b"k", b"v", [("a", b"b")])
        assert producer.publish("t", b"k", b"w", []).offset == 0
    assert [each.value for each in client.sent] == [b"v", b"w"]
    assert client.sent[0].headers == [("a", b"b")]
    assert client.settings["bootstrap.servers"] == "127.0.0.1:1"


def test_delayed_reports_follow_the_clock(
    monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    """They come at their time, or when the test asks for all of them."""
    clock = FakeClock()
    client = FakeProducer(clock=clock)
    client.delay = 30.0
    monkeypatch.setattr(producer_module, "make", client.make)
    with RecordProducer(CONFIG) as producer:
        first = producer.send("t", None, b"1", [])
        clock.advance(29.0)
        assert client.poll(0) == 0
        assert not first.done()
        clock.advance(1.0)
        eventually(first.done, "the report is served")
        second = producer.send("t", None, b"2", [])
        client.report_all()
        eventually(second.done, "the report is served")


def test_client_refuses_a_record_as_a_full_queue_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real producer retries, and the record is published."""
    client = FakeProducer()
    client.refuse(BufferError("queue full"), times=2)
    monkeypatch.setattr(producer_module, "make", client.make)
    with RecordProducer(CONFIG) as producer:
        producer.publish("t", None, b"v", [])
    assert len(client.sent) == 1


def test_fatal_error_of_the_client_is_raised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By poll, like that of librdkafka."""
    client = FakeProducer()
    client.fatal = ck.KafkaError(ck.KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)
    monkeypatch.setattr(producer_module, "make", client.make)
    with pytest.raises(ck.KafkaException):
        client.poll(0)
    assert client.poll(0) == 0


# confluent_kafka's consumer.


class Member:
    """The bridge's real request consumer on a fake client, and its notifications."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client = FakeConsumer("orders", partitions=3, clock=FakeClock())
        monkeypatch.setattr(consumer_module, "make", self.client.make)
        self.notified: list[tuple[str, list[int]]] = []
        self.consumer = RequestConsumer(
            CONFIG,
            "orders",
            "group",
            assigned=lambda numbers: self.notified.append(("assigned", list(numbers))),
            revoked=lambda numbers: self.notified.append(("revoked", list(numbers))),
            lost=lambda numbers: self.notified.append(("lost", list(numbers))),
            skipped=lambda _: None,
        )

    def poll(self) -> list[tuple[int, int, bytes | None]]:
        """Return partition, offset and value of what a poll gives."""
        return [(each.partition, each.offset, each.value) for each in self.consumer.poll(0.1)]


@pytest.fixture
def member(monkeypatch: pytest.MonkeyPatch) -> Member:
    """Give a member of a group."""
    return Member(monkeypatch)


def test_rebalances_happen_within_a_poll(member: Member) -> None:
    """In the order of the script, before the records that follow them."""
    member.client.add_assignment(0, 1)
    member.client.add_record(b"a", partition=1)
    member.client.add(None)  # here the first poll ends
    member.client.add_revocation(0)
    member.client.add_loss(1)
    assert member.notified == []
    assert member.poll() == [(1, 0, b"a")]
    assert member.notified == [("assigned", [0, 1])]
    assert member.poll() == []
    assert member.notified[1:] == [("revoked", [0]), ("lost", [1])]
    assert member.client.is_played


def test_records_of_a_paused_partition_wait(member: Member) -> None:
    """Other partitions go on; the records arrive after it is resumed."""
    member.client.add_assignment(0, 1)
    assert member.poll() == []
    member.consumer.hold({0})
    member.client.add_record(b"a", partition=0)
    member.client.add_record(b"b", partition=1)
    assert member.poll() == [(1, 0, b"b")]
    member.consumer.hold(set())
    assert member.poll() == [(0, 0, b"a")]


def test_commits_are_noted_and_may_fail(member: Member) -> None:
    """The result of an asynchronous commit arrives within the next poll."""
    member.consumer.commit({0: Position(5), 1: Position(7)})
    member.client.commit_error = ck.KafkaError.UNKNOWN_MEMBER_ID
    member.consumer.commit({0: Position(6)})
    assert not member.consumer.has_failed_to_commit()
    member.poll()
    assert member.consumer.has_failed_to_commit()
    member.consumer.commit({0: Position(6)}, wait=True)
    assert member.consumer.has_failed_to_commit()
    assert member.client.commits == [{0: 5, 1: 7}]


def test_client_error_reaches_the_error_callback(member: Member) -> None:
    """A permanent error is raised."""
    member.client.add_client_error(ck.KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(AccessDenied, match="Group authorization failed"):
        member.poll()


def test_closing_revokes_the_assignment(member: Member) -> None:
    """By the poll with which the member leaves the group."""
    member.client.add_assignment(2)
    member.poll()
    member.consumer.close()
    assert member.notified == [("assigned", [2]), ("revoked", [2])]
    assert member.client.closed


def test_poll_without_records_moves_the_clock_by_its_timeout() -> None:
    """Code with a deadline reaches it without a real wait."""
    clock = FakeClock(0.0)
    consumer = FakeConsumer(clock=clock)
    consumer.add(None)
    assert consumer.poll(10.0) is None
    assert consumer.consume(5, 2.5) == []
    assert clock.now == 12.5


def test_poll_without_a_clock_waits_for_the_next_step() -> None:
    """A thread that reads receives what the test adds later."""
    consumer, got = FakeConsumer(), list[Any]()
    thread = threading.Thread(target=lambda: got.append(consumer.poll(30.0)))
    thread.start()
    message = consumer.add_record(b"late")
    thread.join(30.0)
    assert got == [message]


def test_positions_follow_the_consumed_records() -> None:
    """The position of an assigned partition is unknown until its first record."""
    consumer = FakeConsumer(partitions=2)
    both = [ck.TopicPartition("topic", 0, 7), ck.TopicPartition("topic", 1, 0)]
    consumer.assign(both)
    consumer.add_record(b"a", offset=7)
    consumer.add_end()
    first, end = consumer.consume(10, 0)
    assert (first.offset(), end.offset()) == (7, 8)
    assert cast(ck.KafkaError, end.error()).code() == ck.KafkaError._PARTITION_EOF
    assert [each.offset for each in consumer.position(both)] == [8, ck.OFFSET_INVALID]


def test_look_ups_are_answered_from_the_records() -> None:
    """First and next offset, offsets since a time, and the number of partitions."""
    consumer = FakeConsumer("t", partitions=2)
    consumer.add_record(b"a", offset=3, timestamp_ms=1000)
    consumer.add_record(b"b", offset=4, timestamp_ms=2000)
    place = ck.TopicPartition("t", 0, 1500)
    assert consumer.get_watermark_offsets(place) == (3, 5)
    assert [each.offset for each in consumer.offsets_for_times([place])] == [4]
    assert len(consumer.list_topics("t").topics["t"].partitions) == 2
    missing = consumer.list_topics("other").topics["other"].error
    assert missing.code() == ck.KafkaError.UNKNOWN_TOPIC_OR_PART


def test_scripted_exception_is_raised_by_poll() -> None:
    """For errors that the client itself raises."""
    consumer = FakeConsumer()
    consumer.add(ck.KafkaException(ck.KafkaError(ck.KafkaError._FATAL)))
    with pytest.raises(ck.KafkaException):
        consumer.poll(0)
