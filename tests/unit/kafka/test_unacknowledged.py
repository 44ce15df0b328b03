"""Why brokers that answer did not acknowledge a record."""

from __future__ import annotations

from typing import Any

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka import unacknowledged
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.unacknowledged import KEEP_SECONDS, DeliveryDoctor
from kafka_bridge.protocol.errors import DeliveryFailed
from kafka_bridge.testing.fakes import FakeClock
from unit.clocks import clock_of

from .scripted_admin import ScriptedAdmin, partition

clock = clock_of(unacknowledged)


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> ScriptedAdmin:
    """Give brokers whose topic needs two in-sync replicas."""
    admin = ScriptedAdmin(settings={"min.insync.replicas": "2"})
    monkeypatch.setattr(unacknowledged, "make", admin.make)
    return admin


@pytest.fixture
def doctor(clock: FakeClock, admin: ScriptedAdmin) -> DeliveryDoctor:
    """Give a doctor of a producer of these brokers."""
    return DeliveryDoctor(KafkaConfig({"bootstrap.servers": "b:9"}))


def why(doctor: DeliveryDoctor) -> str | None:
    """Return why the topic takes no records."""
    found = doctor.why("t", 30.0)
    assert found is None or isinstance(found, DeliveryFailed)
    return None if found is None else str(found)


@pytest.mark.parametrize(
    ("partitions", "words"),
    [
        pytest.param(
            [partition(), partition(leader=-1)],
            "no leader for partition 1: the brokers that have its records are down",
            id="no leader",
        ),
        pytest.param(
            [partition(leader=-1), partition(in_sync=1), partition(leader=-1)],
            "no leader for each of partitions 0, 2: the brokers",
            id="no leader counts more than missing replicas",
        ),
        pytest.param(
            [partition(in_sync=2), partition(in_sync=1)],
            "not enough in-sync replicas: partition 1 has 1 of 3 in sync, and the topic's "
            "min.insync.replicas is 2. Start the missing brokers again",
            id="too few in sync",
        ),
        pytest.param(
            [partition(in_sync=0), partition(in_sync=1), partition(in_sync=0)],
            "not enough in-sync replicas: each of partitions 0, 2 has 0 of 3 in sync",
            id="the worst of several",
        ),
        pytest.param(
            [partition(replicas=1, in_sync=1)],
            "the leader or a replica is too slow, or was unavailable",
            id="fewer replicas than needed are all there",
        ),
        pytest.param([partition()], "the leader or a replica is too slow", id="all is well now"),
    ],
)
def test_reason_is_what_the_topics_partitions_show(
    doctor: DeliveryDoctor, admin: ScriptedAdmin, partitions: list[Any], words: str
) -> None:
    """With the brokers, the topic and the time that the record had."""
    admin.partitions = partitions
    found = why(doctor)
    assert found is not None
    assert found.startswith(
        "Kafka at b:9 answers, but did not acknowledge a record to topic 't' within 30 s: "
    )
    assert words in found


def test_one_replica_is_enough_where_the_topics_settings_may_not_be_seen(
    doctor: DeliveryDoctor, admin: ScriptedAdmin
) -> None:
    """Nothing is claimed of a setting that is not known."""
    admin.partitions = [partition(in_sync=1)]
    admin.settings_error = ck.KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert "too slow" in str(why(doctor))
    admin.settings_error, admin.settings = None, {}
    assert "too slow" in str(DeliveryDoctor(KafkaConfig({"bootstrap.servers": "b:9"})).why("t", 1))


def test_brokers_that_are_silent_have_no_reason(
    doctor: DeliveryDoctor, admin: ScriptedAdmin
) -> None:
    """Then the producer's own words are right: no broker answered."""
    admin.silent = True
    assert why(doctor) is None


@pytest.mark.parametrize("silent", [False, True])
def test_brokers_are_asked_once_where_thousands_of_records_fail(
    doctor: DeliveryDoctor, admin: ScriptedAdmin, clock: FakeClock, silent: bool
) -> None:
    """The answer counts for some seconds, a missing one too; then they are asked again."""
    admin.silent = silent
    first = why(doctor)
    asked = list(admin.asked)
    admin.silent, admin.partitions = not silent, [partition(leader=-1)]
    clock.advance(KEEP_SECONDS)
    assert why(doctor) == first
    assert admin.asked == asked
    clock.advance(0.001)
    assert why(doctor) != first
    assert len(admin.asked) > len(asked)


def test_reason_of_one_topic_is_not_reported_for_another(
    doctor: DeliveryDoctor, admin: ScriptedAdmin
) -> None:
    """Each is looked at by itself."""
    assert "too slow" in str(why(doctor))
    admin.partitions = [partition(leader=-1)]
    assert "no leader" in str(doctor.why("another", 30.0))
