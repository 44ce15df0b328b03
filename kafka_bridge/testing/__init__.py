"""What tests and demos need: Kafka brokers that start where they are wanted, and pytest fixtures.

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
        EmbeddedBroker,
        ExternalBroker,
        NoBrokerFound,
        TopicExists,
        find_broker,
    )

__all__ = [
    "ApacheKafka",
    "Broker",
    "BrokerError",
    "BrokerStartFailed",
    "BrokerUnavailable",
    "ComposeKafka",
    "EmbeddedBroker",
    "ExternalBroker",
    "NoBrokerFound",
    "TopicExists",
    "find_broker",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("kafka_bridge.testing.brokers"), name)
