"""Kafka brokers for tests and demos, all behind one small interface, `Broker`."""

from kafka_bridge.testing.brokers.apache import ApacheKafka
from kafka_bridge.testing.brokers.base import Broker
from kafka_bridge.testing.brokers.cluster import KafkaCluster
from kafka_bridge.testing.brokers.compose import ComposeKafka
from kafka_bridge.testing.brokers.embedded import EmbeddedBroker
from kafka_bridge.testing.brokers.errors import (
    BrokerError,
    BrokerStartFailed,
    BrokerUnavailable,
    NoBrokerFound,
    TopicExists,
)
from kafka_bridge.testing.brokers.external import ExternalBroker
from kafka_bridge.testing.brokers.find import find_broker
from kafka_bridge.testing.brokers.secured import CredentialFault, SecuredKafka

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
    "KafkaCluster",
    "NoBrokerFound",
    "SecuredKafka",
    "TopicExists",
    "find_broker",
]
