"""How a response reader opens and closes on a real Kafka, and what waiting jobs receive."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.protocol.errors import (
    BrokerUnreachable,
    ReaderClosed,
    TopicNotFound,
)
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.testing import Broker
from kafka_bridge.testing.ports import free_port

from ..jobs import WAIT_SECONDS, committed, config_of, event
from .waiters import Waiter, hand_over, say

if TYPE_CHECKING:
    from conftest import Eventually, TopicFactory

R, S = JobState.RUNNING, JobState.SUCCEEDED


def test_every_waiter_receives_the_error_of_a_missing_topic(
    open_reader: Callable[..., ResponseReader],
) -> None:
    """It names the topic; jobs that join later receive it too."""
    reader = open_reader("no.such.topic")
    for waiter in Waiter.join_together(reader, 3, [0]):
        error = waiter.next()
        assert isinstance(error, TopicNotFound)
        assert "'no.such.topic'" in str(error)
    with pytest.raises(ReaderClosed):
        Waiter().join(reader)


def test_every_waiter_receives_the_error_of_a_deleted_topic(
    real_broker: Broker,
    topics: TopicFactory,
    open_reader: Callable[..., ResponseReader],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A topic that is deleted ends the wait of its jobs."""
    monkeypatch.setattr("kafka_bridge.kafka.responses.topic_watch.MISSING_SECONDS", 1.0)
    topic = topics()
    waiter = Waiter().join(open_reader(topic), [0])
    assert waiter.is_told_nothing()
    real_broker.delete_topics([topic])
    assert isinstance(waiter.next(), TopicNotFound)


def test_every_waiter_receives_the_error_of_unreachable_brokers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has the addresses."""
    monkeypatch.setattr("kafka_bridge.kafka.responses.topic_consumer.METADATA_SECONDS", 0.0)
    servers = f"127.0.0.1:{free_port()}"
    reader = ResponseReader(config_of(servers), "t", hand_over)
    try:
        error = Waiter().join(reader).next()
    finally:
        reader.close()
    assert isinstance(error, BrokerUnreachable)
    assert servers in str(error)


def test_idle_reader_closes(
    topics: TopicFactory,
    producer: RecordProducer,
    open_reader: Callable[..., ResponseReader],
    eventually: Eventually,
) -> None:
    """It stays open while a job waits, and closes soon after the last one left."""
    topic = topics()
    reader, waiter = open_reader(topic, linger=2.0), Waiter()
    subscription = reader.subscribe(waiter.job, [0], waiter.told.put)
    assert waiter.is_told_nothing(2.5)  # longer than it lingers
    say(producer, topic, event(waiter.job))
    assert waiter.event().state is S
    reader.unsubscribe(subscription)

    def closed() -> bool:
        try:
            reader.unsubscribe(reader.subscribe(waiter.job, [0], waiter.told.put))
        except ReaderClosed:
            return True
        return False

    time.sleep(0.4)
    assert not closed()  # which begins the lingering anew
    eventually(lambda: not reader._thread.is_alive(), "the reader's thread ends")
    with pytest.raises(ReaderClosed, match=f"the reader of '{topic}' is closed"):
        Waiter().join(reader)


def test_every_waiter_is_notified_of_the_close(
    topics: TopicFactory, open_reader: Callable[..., ResponseReader]
) -> None:
    """So that it can open another reader."""
    reader = open_reader(topics())
    waiter = Waiter().join(reader, [0])
    reader.close()
    assert isinstance(waiter.next(), ReaderClosed)
    with pytest.raises(ReaderClosed):
        Waiter().join(reader)


FORK = """
import os, sys
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.protocol.errors import ReaderClosed
reader = ResponseReader(KafkaConfig({"bootstrap.servers": sys.argv[1]}), sys.argv[2], print)
reader.subscribe(sys.argv[3], [0], print)
child = os.fork()
if child == 0:
    try:
        reader.subscribe(sys.argv[3], [0], print)
    except ReaderClosed as error:
        print("child refused:", error, flush=True)
        os._exit(7)
    os._exit(0)
_, status = os.waitpid(child, 0)
reader.subscribe(sys.argv[3], [0], print)
reader.close()
print("parent:", os.waitstatus_to_exitcode(status))
"""


def test_forked_child_refuses_its_parents_reader(real_broker: Broker, topics: TopicFactory) -> None:
    """A reader's thread does not exist in a forked child; the error says to open another one."""
    topic = topics()
    result = subprocess.run(
        [sys.executable, "-c", FORK, real_broker.bootstrap_servers, topic, new_correlation_id()],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert f"child refused: the reader of '{topic}'" in result.stdout
    assert "parent: 7" in result.stdout, result.stderr


def test_reader_does_not_use_the_group_of_the_connection(
    config: KafkaConfig,
    topics: TopicFactory,
    producer: RecordProducer,
    open_reader: Callable[..., ResponseReader],
) -> None:
    """It is a member of no group while it reads, and commits nothing."""
    topic = topics()
    reader, waiter = open_reader(topic), Waiter()
    waiter.join(reader, [0])
    say(producer, topic, event(waiter.job))
    assert waiter.event().state is S
    admin = AdminClient({"bootstrap.servers": config.bootstrap_servers})

    def groups() -> set[str]:
        listed = admin.list_consumer_groups(request_timeout=WAIT_SECONDS).result()
        return {
            each.group_id
            for each in listed.valid
            if each.group_id == "their-group" or each.group_id.startswith("kafka-bridge-responses")
        }

    assert groups() == set()
    reader.close()
    assert groups() == set()
    assert committed(config, "their-group", topic) == [-1001]
