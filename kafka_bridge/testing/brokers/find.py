"""Finds the real broker for tests: the first kind that is available."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_bridge.testing.brokers.apache import ApacheKafka
from kafka_bridge.testing.brokers.compose import ComposeKafka
from kafka_bridge.testing.brokers.errors import BrokerError, BrokerUnavailable, NoBrokerFound
from kafka_bridge.testing.brokers.external import VARIABLE, ExternalBroker

if TYPE_CHECKING:
    from collections.abc import Callable

    from kafka_bridge.testing.brokers.base import Broker


def find_broker() -> Broker:
    """Start and return the first real broker that is available; the caller closes it.

    In this order: the address in KAFKA_BRIDGE_TEST_BOOTSTRAP, Docker Compose where an engine
    answers, Apache Kafka from Maven's jars on a JDK. The embedded broker is not among them: it
    is not Kafka, and who wants it says so.

    Raises NoBrokerFound with each one tried and why it was not available. An address that was
    given but does not answer ends the search: tests that quietly ran elsewhere would mislead.
    """
    reasons: list[tuple[str, str]] = []
    for kind, make in _ways():
        try:
            return make().start()
        except BrokerError as error:
            reasons.append((kind, str(error)))
            if kind == VARIABLE and not isinstance(error, BrokerUnavailable):
                break
    raise NoBrokerFound(reasons)


def _ways() -> list[tuple[str, Callable[[], Broker]]]:
    return [
        (VARIABLE, ExternalBroker.from_environment),
        ("docker compose", ComposeKafka),
        ("Apache Kafka on a JDK", ApacheKafka),
    ]
