"""Why no worker accepts a job: what a real Kafka knows of a topic and its consumer groups."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import confluent_kafka as ck
import pytest

from integration.jobs import config_of
from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.kafka.admin.diagnosis import GroupReport, QueueReport, diagnose
from kafka_bridge.kafka.config import GROUP_PREFIX, KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.testing import Broker, EmbeddedBroker, SecuredKafka

if TYPE_CHECKING:
    from conftest import Eventually, TopicFactory

SECONDS = 10.0


@contextlib.contextmanager
def member(broker: Broker, topic: str, group: str) -> Iterator[ck.Consumer]:
    """Be a member of a group, with all partitions of a topic, inside the block."""
    consumer = ck.Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    try:
        for _ in range(200):
            consumer.poll(0.1)
            if consumer.assignment():
                break
        assert consumer.assignment(), "the group never gave out its partitions"
        yield consumer
    finally:
        consumer.close()


def fill(broker: Broker, topic: str, count: int) -> None:
    """Write some records."""
    with RecordProducer(config_of(broker.bootstrap_servers)) as producer:
        for sent in [producer.send(topic, b"%d" % n, b"x", []) for n in range(count)]:
            sent.result()


def look(broker: Broker, topic: str) -> QueueReport:
    """Diagnose a topic."""
    return diagnose(config_of(broker.bootstrap_servers), topic, SECONDS)


def test_missing_topic_is_reported(real_broker: Broker) -> None:
    """With what to do."""
    assert str(look(real_broker, "no.requests")) == (
        "Topic 'no.requests' does not exist any more: create it (`kafka-bridge topics create`) "
        "or correct the name."
    )


def test_topic_without_a_group_is_reported(real_broker: Broker, topics: TopicFactory) -> None:
    """No worker has ever consumed it."""
    topic = topics("unread")
    fill(real_broker, topic, 3)
    assert str(look(real_broker, topic)) == (
        f"Topic '{topic}' exists, but no consumer group reads it. Start the service's workers, or "
        "correct the name of the topic."
    )


def test_members_and_lag_of_each_group_are_reported(
    real_broker: Broker,
    topics: TopicFactory,
    unique_name: Callable[[str], str],
    eventually: Eventually,
) -> None:
    """The advice fits: busy, all consumed, or stopped."""
    topic, other = topics("read", partitions=2), topics("other")
    group = unique_name("group")
    fill(real_broker, topic, 10)
    with member(real_broker, topic, group) as consumer, member(real_broker, other, "elsewhere"):
        report = look(real_broker, topic)
        assert report.groups == (GroupReport(group, 1, None),)
        assert f"consumer groups on it: '{group}' (1 member, has committed nothing yet)." in str(
            report
        )
        assert "The workers are busy with earlier jobs, or stuck" in str(report)
        _commit(consumer, topic, 10)
        assert look(real_broker, topic).groups == (GroupReport(group, 1, 0),)
        assert "have consumed all requests, and no event came" in str(look(real_broker, topic))
        fill(real_broker, topic, 3)
        assert f"'{group}' (1 member, lags by 3)" in str(look(real_broker, topic))
    report = look(real_broker, topic)
    assert report.groups == (GroupReport(group, 0, 3),)
    assert str(report).endswith(
        f"consumer groups on it: '{group}' (no members, lags by 3). None of them has a member: "
        "start the service's workers."
    )


def test_group_with_the_default_name_of_gateways_is_reported(
    real_broker: Broker, topics: TopicFactory, unique_name: Callable[[str], str]
) -> None:
    """Its name has the prefix of readers, but it is a group of workers."""
    topic, group = topics("read"), unique_name(GatewayConfig.model_fields["group_id"].default)
    assert group.startswith(GROUP_PREFIX)
    with member(real_broker, topic, group):
        assert [each.name for each in look(real_broker, topic).groups] == [group]


def test_groups_without_permission_to_describe_are_counted(
    secured_kafka: SecuredKafka, unique_name: Callable[[str], str]
) -> None:
    """A client that may list groups, but not describe them, does not call them missing."""
    user, owner, topic = unique_name("user"), unique_name("owner"), unique_name("topic")
    for each in (user, owner):
        secured_kafka.add_user(each)
        secured_kafka.allow(each, "topic", topic, "Read")
    secured_kafka.create_topic(topic, 1)
    group = unique_name("service")
    secured_kafka.allow(owner, "group", group, "Read")
    consumer = ck.Consumer({**secured_kafka.client(owner), "group.id": group})
    consumer.commit(offsets=[ck.TopicPartition(topic, 0, 1)], asynchronous=False)
    consumer.close()
    config = KafkaConfig(secured_kafka.client(user))
    assert "groups that it may not describe are not shown to it" in str(
        diagnose(config, topic, SECONDS)
    )
    secured_kafka.allow(user, "cluster", "kafka-cluster", "Describe")
    words = str(diagnose(config, topic, SECONDS))
    assert re.search(r"no consumer group that this client may see reads it, but \d+ other", words)
    assert "allow this client to Describe their group" in words
    secured_kafka.allow(user, "group", group, "Describe")
    assert f"'{group}' (no members" in str(diagnose(config, topic, SECONDS))


def _commit(consumer: ck.Consumer, topic: str, count: int) -> None:
    """Read so many records and commit them."""
    seen = 0
    for _ in range(200):
        seen += len([m for m in consumer.consume(100, 0.1) if m.error() is None])
        if seen >= count:
            break
    assert seen == count
    consumer.commit(asynchronous=False)


def test_broker_without_groups_is_reported() -> None:
    """The embedded broker has no groups: the text says so, and what to check."""
    with EmbeddedBroker(["q"]) as broker:
        words = str(look(broker, "q"))
    assert words.startswith("Topic 'q' exists; its consumer groups are not known (")
    assert words.endswith("). Check that the service's workers run and that they read this topic.")


def test_unreachable_brokers_are_reported() -> None:
    """A diagnosis never fails: it says that nothing is known, and why."""
    report = diagnose(config_of("127.0.0.1:9"), "q", 1)
    assert str(report).startswith(
        "Kafka could not be asked about topic 'q': no Kafka broker answered at 127.0.0.1:9 "
    )


@pytest.mark.parametrize(
    ("members", "lag", "words"),
    [
        (0, None, "'g' (no members, has committed nothing yet)"),
        (1, 0, "'g' (1 member, lags by 0)"),
        (3, 12345, "'g' (3 members, lags by 12,345)"),
    ],
)
def test_text_for_a_group(members: int, lag: int | None, words: str) -> None:
    """Plain English, with thousands separators."""
    assert str(GroupReport("g", members, lag)) == words
