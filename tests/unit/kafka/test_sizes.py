"""Whether a record fits, as far as that can be known before it is sent."""

from __future__ import annotations

from typing import Any

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka import clients, sizes
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.sizes import ASK_FROM_BYTES, PRODUCER_BYTES, SizeCheck
from kafka_bridge.protocol.errors import ConfigurationError, RecordTooLarge, TopicNotFound
from kafka_bridge.testing.fakes import FakeClock

from .scripted_admin import ScriptedAdmin


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> ScriptedAdmin:
    """Give the brokers of a topic that takes 60,000 bytes."""
    admin = ScriptedAdmin(settings={"max.message.bytes": "60000"})
    monkeypatch.setattr(sizes, "make", admin.make)
    return admin


def check(**settings: Any) -> SizeCheck:
    """Return a check for the topic ``t`` with these settings of the producer."""
    return SizeCheck(KafkaConfig({"bootstrap.servers": "b:9", **settings}), "t", 5.0)


def test_record_may_have_as_many_bytes_as_its_topic_takes(admin: ScriptedAdmin) -> None:
    """One more, and the error names the size, the topic and its limit. The brokers are asked once.

    The record is only compared then: a batch of a million payloads asks no more often.
    """
    fitting = check()
    for _ in range(3):
        fitting.require_fitting(60_000)
        with pytest.raises(RecordTooLarge) as refused:
            fitting.require_fitting(60_001)
    assert "a record of 60,001 bytes is too large for topic 't'" in str(refused.value)
    assert "the topic's 'max.message.bytes' is 60,000." in str(refused.value)
    assert admin.asked == ["partitions", "settings"]


def test_brokers_are_not_asked_about_a_small_record(admin: ScriptedAdmin) -> None:
    """Most records are small, and cost no question."""
    check().require_fitting(ASK_FROM_BYTES - 1)
    assert admin.asked == []


@pytest.mark.parametrize(
    ("settings", "limit"), [({}, PRODUCER_BYTES), ({"message.max.bytes": "70000"}, 70_000)]
)
def test_record_that_the_producer_would_refuse_is_refused_without_a_question(
    admin: ScriptedAdmin, settings: dict[str, str], limit: int
) -> None:
    """By the configured limit, or librdkafka's own."""
    with pytest.raises(RecordTooLarge, match=f"the producer's 'message.max.bytes' is {limit:,}"):
        check(**settings).require_fitting(limit + 1)
    assert admin.asked == []


def test_limit_of_the_producer_that_is_no_number_is_an_error_in_words(
    admin: ScriptedAdmin,
) -> None:
    """It comes from a connection or the environment: its name and its value are told."""
    with pytest.raises(ConfigurationError, match=r"message\.max\.bytes .* not 'much'"):
        check(**{"message.max.bytes": "much"})
    assert admin.asked == []


def test_record_that_will_be_compressed_is_left_to_the_broker(admin: ScriptedAdmin) -> None:
    """How small it will be is not known yet."""
    check(**{"compression.type": "zstd"}).require_fitting(900_000)
    with pytest.raises(RecordTooLarge):
        check(**{"compression.type": "none"}).require_fitting(900_000)
    assert admin.asked == ["partitions", "settings"]


def test_record_is_not_refused_where_the_topics_limit_may_not_be_seen(
    admin: ScriptedAdmin,
) -> None:
    """A sender needs no permission for that: the broker decides."""
    admin.settings_error = ck.KafkaError.TOPIC_AUTHORIZATION_FAILED
    check().require_fitting(900_000)
    assert admin.asked == ["partitions", "settings"]


def test_record_is_not_refused_where_no_broker_answers(
    admin: ScriptedAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the timeout the producer waits for the brokers, as it would with a small record."""
    clock = FakeClock()
    monkeypatch.setattr(clients, "time", clock)
    admin.silent = True
    began = clock.now
    check().require_fitting(900_000)
    assert 5.0 <= clock.now - began < 6.0


def test_missing_topic_is_an_error_at_once(admin: ScriptedAdmin) -> None:
    """The size cannot be judged, and the record cannot be sent."""
    admin.partitions = []
    with pytest.raises(TopicNotFound):
        check().require_fitting(900_000)
