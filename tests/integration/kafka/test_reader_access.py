"""A reader that Kafka refuses: every waiting job receives the error within seconds."""

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
from kafka_bridge.testing.ports import free_port

from ..jobs import config_of
from .waiters import Waiter, hand_over

SASL = "org.apache.kafka.common.security.plain.PlainLoginModule required"
WITHIN_SECONDS = 10.0


class Guarded:
    """A Kafka with a listener that needs a password, and with ACLs."""

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
        """Return the configuration of a client of that listener."""
        return config_of(
            self.door,
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN",
            sasl_username="airflow",
            sasl_password=password,
        )

    def forbid(self, topic: str) -> None:
        """Forbid all clients to read or describe a topic."""
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
    """Give a broker that refuses clients."""
    kafka = Guarded()
    with kafka.broker:
        kafka.broker.create_topic("forbidden", 1)
        kafka.forbid("forbidden")
        yield kafka


def refusals(config: KafkaConfig, topic: str) -> tuple[list[str], float]:
    """Return the errors of three jobs that wait on a topic, and how many seconds they took."""
    begin = time.monotonic()
    reader = ResponseReader(config, topic, hand_over)
    try:
        told = [waiter.next() for waiter in Waiter.join_together(reader, 3, [0])]
    finally:
        reader.close()
    assert {type(each) for each in told} == {AccessDenied}, told
    return [str(each) for each in told], time.monotonic() - begin


def test_wrong_password_is_named_within_seconds(guarded: Guarded) -> None:
    """The authentication error names the broker and what to check, and never the password."""
    words, took = refusals(guarded.config("not-this-one"), "forbidden")
    assert took < WITHIN_SECONDS
    for each in words:
        assert f"Kafka at {guarded.door} refused this client" in each
        assert "wrong password, or unknown user 'airflow'" in each
        assert "not-this-one" not in each


def test_missing_permission_to_read_is_reported(guarded: Guarded) -> None:
    """Every job that waits on the topic receives the authorization error."""
    words, took = refusals(guarded.config("right"), "forbidden")
    assert took < WITHIN_SECONDS
    assert all("refused access" in each and "'forbidden'" in each for each in words)


def test_revoked_permission_to_read_is_reported(guarded: Guarded) -> None:
    """To every waiting job of a reader that was allowed to read before."""
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
