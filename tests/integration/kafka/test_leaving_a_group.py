"""A worker's consumer leaves its group when it is closed, whatever it was doing in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient

from integration.jobs import WAIT_SECONDS, config_of
from kafka_bridge.kafka.consumer import RequestConsumer
from kafka_bridge.testing import Broker

if TYPE_CHECKING:
    from conftest import Eventually, TopicFactory

GONE_SECONDS = 10.0
"""Far below the session of 45 s: a member that only falls silent is missed after that."""


@pytest.mark.parametrize("joining", [False, True], ids=["without partitions", "while it joins"])
def test_member_without_partitions_leaves_at_once(
    real_broker: Broker,
    topics: TopicFactory,
    unique_name: Callable[[str], str],
    eventually: Eventually,
    joining: bool,
) -> None:
    """Other members do not wait for its session timeout."""
    topic, group = topics("requests", 1), unique_name("service")
    assigned: list[int] = []
    first = _member(real_broker, topic, group, assigned)
    admin = AdminClient({"bootstrap.servers": real_broker.bootstrap_servers})

    def members() -> int:
        described = admin.describe_consumer_groups([group])[group]
        return len(described.result(WAIT_SECONDS).members)

    try:
        eventually(lambda: first.poll(0.05) or assigned == [0], "the first has the partition")
        second = _member(real_broker, topic, group, assigned)
        # It joins for as long as the first, which does not poll, has not joined again.
        eventually(lambda: second.poll(0.05) or members() == 2, "the second asks to join")
        if not joining:
            eventually(
                lambda: first.poll(0.05) or second.poll(0.05) or len(assigned) >= 3,
                "both have been told what they have",
            )
        second.close()
        eventually(lambda: first.poll(0.05) or members() == 1, "it is gone", GONE_SECONDS)
    finally:
        first.close()


def _member(broker: Broker, topic: str, group: str, assigned: list[int]) -> RequestConsumer:
    def note(partitions: object) -> None:
        assigned.extend(list(partitions) or [-1])  # type: ignore[call-overload]

    return RequestConsumer(
        config_of(broker.bootstrap_servers, session_timeout_ms=45_000),
        topic,
        group,
        assigned=note,
        revoked=lambda _: None,
        lost=lambda _: None,
        skipped=lambda _: None,
    )
