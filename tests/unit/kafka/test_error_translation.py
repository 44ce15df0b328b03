"""librdkafka's errors in the bridge's own words."""

from __future__ import annotations

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka.error_translation import (
    ends_reading,
    heals_by_itself,
    too_large,
    translate,
)
from kafka_bridge.protocol import errors

E = ck.KafkaError

KINDS: list[tuple[int, type[errors.KafkaError], str]] = [
    (E._AUTHENTICATION, errors.AccessDenied, "kafka-bridge topics acls"),
    (E._SSL, errors.AccessDenied, "refused access while doing it"),
    (E.SASL_AUTHENTICATION_FAILED, errors.AccessDenied, "Check the credentials and ACLs"),
    (E.TOPIC_AUTHORIZATION_FAILED, errors.AccessDenied, "Check the credentials and ACLs"),
    (E.GROUP_AUTHORIZATION_FAILED, errors.AccessDenied, "Check the credentials and ACLs"),
    (E.UNKNOWN_TOPIC_OR_PART, errors.TopicNotFound, "topic 't' does not exist on Kafka at b:1"),
    (E._UNKNOWN_TOPIC, errors.TopicNotFound, "kafka-bridge topics create"),
    (E._UNKNOWN_PARTITION, errors.TopicNotFound, "topic 't' does not exist"),
    (E.TOPIC_EXCEPTION, errors.TopicNotFound, "or correct the name"),
    (E._TRANSPORT, errors.BrokerUnreachable, "no Kafka broker answered at b:1 while doing it"),
    (E._ALL_BROKERS_DOWN, errors.BrokerUnreachable, "Check 'bootstrap.servers'"),
    (E._TIMED_OUT, errors.BrokerUnreachable, "can be reached from here"),
    (E._MSG_TIMED_OUT, errors.BrokerUnreachable, "can be reached from here"),
    (E._RESOLVE, errors.BrokerUnreachable, "can be reached from here"),
    (E.INVALID_RECORD, errors.DeliveryFailed, "Kafka at b:1 failed while doing it"),
]


@pytest.mark.parametrize(("code", "kind", "words"), KINDS)
def test_each_code_has_its_kind_and_words(
    code: int, kind: type[errors.KafkaError], words: str
) -> None:
    """An error says what happened where, and what to do; bare errors and exceptions alike."""
    for error in (E(code), ck.KafkaException(E(code))):
        translated = translate(error, doing="doing it", servers="b:1", topic="t")
        assert type(translated) is kind
        assert words in str(translated)


@pytest.mark.parametrize(
    ("error", "heals"),
    [
        (E(E._TRANSPORT), True),
        (E(E._ALL_BROKERS_DOWN), True),
        (E(E._TIMED_OUT), True),
        (E(E.COORDINATOR_NOT_AVAILABLE), True),
        (E(E.TOPIC_AUTHORIZATION_FAILED), False),
        (E(E.UNKNOWN_TOPIC_OR_PART), False),
        (E(E.TOPIC_EXCEPTION), False),
        (E(E._FATAL), False),
        (E(E.FENCED_INSTANCE_ID), False),
        (E(E._STATE, "another instance has this group.instance.id", fatal=True), False),
    ],
    ids=str,
)
def test_waiting_helps_only_where_it_can(error: ck.KafkaError, heals: bool) -> None:
    """Silence heals; lack of access, a missing topic and a client that is done for do not."""
    assert heals_by_itself(error) is heals


def test_reader_goes_on_without_its_group() -> None:
    """A reader uses nothing of its group, so a refused one ends nothing; a refused topic does."""
    assert not ends_reading(E(E.GROUP_AUTHORIZATION_FAILED))
    assert not ends_reading(E(E._TRANSPORT))
    assert ends_reading(E(E.TOPIC_AUTHORIZATION_FAILED))


def test_too_large_says_how_large_and_what_to_do() -> None:
    """The error has the size, the topic and both settings that would have to be raised."""
    text = str(too_large("t", 1_234_567, "Broker: Message size too large"))
    assert "1,234,567 bytes is too large for topic 't': Broker: Message size too large" in text
    assert "'message.max.bytes'" in text
    assert "'max.message.bytes'" in text
