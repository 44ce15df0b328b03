"""Tools for tests and demos: jobs without Kafka, test brokers, pytest fixtures.

Names are imported on first use, so that importing this package (pytest does, through the plugin)
loads no Kafka client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kafka_bridge.testing.brokers import (
        ApacheKafka,
        Broker,
        BrokerError,
        BrokerStartFailed,
        BrokerUnavailable,
        ComposeKafka,
        CredentialFault,
        EmbeddedBroker,
        ExternalBroker,
        KafkaCluster,
        NoBrokerFound,
        SecuredKafka,
        TopicExists,
        find_broker,
    )
    from kafka_bridge.testing.fakes import (
        FakeClock,
        FakeConsumer,
        FakeProducer,
        FakeRecordProducer,
    )
    from kafka_bridge.testing.jobs import JobOutcome, run_batch, run_job

__all__ = [
    "ApacheKafka",
    "Broker",
    "BrokerError",
    "BrokerStartFailed",
    "BrokerUnavailable",
    "ComposeKafka",
    "CredentialFault",
    "EmbeddedBroker",
    "ExternalBroker",
    "FakeClock",
    "FakeConsumer",
    "FakeProducer",
    "FakeRecordProducer",
    "JobOutcome",
    "KafkaCluster",
    "NoBrokerFound",
    "SecuredKafka",
    "TopicExists",
    "find_broker",
    "run_batch",
    "run_job",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_module_of(name)}"), name)


def _module_of(name: str) -> str:
    if name in {"JobOutcome", "run_batch", "run_job"}:
        return "jobs"
    return "fakes" if name.startswith("Fake") else "brokers"
