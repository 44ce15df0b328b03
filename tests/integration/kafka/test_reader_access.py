"""What a reader says when Kafka refuses it: to every job that waits, within seconds, in words."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.protocol.errors import AccessDenied
from kafka_bridge.testing import ApacheKafka
from kafka_bridge.testing.brokers.ports import free_port

from ..jobs import config_of
from .waiters import Waiter, hand_over

SASL = "org.apache.kafka.common.security.plain.PlainLoginModule required"
WITHIN_SECONDS = 10.0


class Guarded:
    """A Kafka that asks for a password at one door, and has ACLs."""

    def __init__(self) -> None:
        door = free_port()
        self.door = f"127.0.0.1:{door}"
        self.broker = ApacheKafka(
            {
                "listeners": "PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:"
                f"${{controller_port}},SASL://127.0.0.1:{door}",
                "advertised.listeners": f"PLAINTEXT://127.0.0.1:${{port}},SASL://127.0.0.1:{door}",
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
                "SASL:SASL_PLAINTEXT",
                "sasl.enabled.mechanisms": "PLAIN",
                "listener.name.sasl.plain.sasl.jaas.config": f'{SASL} user_airflow="right";',
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "allow.everyone.if.no.acl.found": "true",
            }
        )

    def config(self, password: str) -> KafkaConfig:
        """Return the configuration of a client that comes through the door."""
        return config_of(
            self.door,
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN",
            sasl_username="airflow",
            sasl_password=password,
        )

    def forbid(self, topic: str) -> None:
        """Let nobody read a topic, nor see it."""
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap_servers})
        rule = AclBinding(
            ResourceType.TOPIC,
            topic,
            ResourcePatternType.LITERAL,
            "User:airflow",
            "*",
            AclOperation.ALL,
            AclPermissionType.DENY,
        )
        for made in admin.create_acls([rule]).values():
            made.result()


@pytest.fixture(scope="module")
def guarded(kafka_jars: None) -> Iterator[Guarded]:
    """Give a broker that refuses."""
    kafka = Guarded()
    with kafka.broker:
        kafka.broker.create_topic("forbidden", 1)
        kafka.forbid("forbidden")
        yield kafka


def refusals(config: KafkaConfig, topic: str) -> tuple[list[str], float]:
    """Return what three jobs are told that wait on a topic, and how many seconds it took."""
    begin = time.monotonic()
    reader = ResponseReader(config, topic, hand_over)
    try:
        waiters = [Waiter().join(reader, [0]) for _ in range(3)]
        told = [waiter.next() for waiter in waiters]
    finally:
        reader.close()
    assert {type(each) for each in told} == {AccessDenied}, told
    return [str(each) for each in told], time.monotonic() - begin


def test_wrong_password_is_named_within_seconds(guarded: Guarded) -> None:
    """An authentication error names the broker and what to check, and never the password."""
    words, took = refusals(guarded.config("not-this-one"), "forbidden")
    assert took < WITHIN_SECONDS
    for each in words:
        assert f"Kafka at {guarded.door} refused this client" in each
        assert "wrong password, or unknown user 'airflow'" in each
        assert "not-this-one" not in each


def test_topic_that_may_not_be_read(guarded: Guarded) -> None:
    """An authorization error is told to all that wait on the topic."""
    words, took = refusals(guarded.config("right"), "forbidden")
    assert took < WITHIN_SECONDS
    assert all("refused access" in each and "'forbidden'" in each for each in words)


def test_leave_that_is_taken_away(guarded: Guarded) -> None:
    """A reader that was allowed to read, and no longer is, says so to all that wait."""
    guarded.broker.create_topic("once", 1)
    reader = ResponseReader(guarded.config("right"), "once", hand_over)
    try:
        waiters = [Waiter().join(reader, [0]) for _ in range(3)]
        assert waiters[0].is_told_nothing(0.4)
        guarded.forbid("once")
        told = [waiter.next() for waiter in waiters]
    finally:
        reader.close()
    assert {type(each) for each in told} == {AccessDenied}, told
