"""Check whether a record fits, before anything is sent."""

from __future__ import annotations

import math
from functools import cached_property

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.error_translation import too_large
from kafka_bridge.kafka.topic_metadata import partition_count, topic_settings
from kafka_bridge.protocol.errors import BrokerUnreachable, ConfigurationError

PRODUCER_BYTES = 1_000_000
"""librdkafka's own limit, where the configuration sets none."""
ASK_FROM_BYTES = 50_000
"""Smaller records are not worth the question: no topic is set so low, and the broker would refuse
them in the same words."""


class SizeCheck:
    """Whether records fit into a topic. The topic's own limit is asked for once, if ever.

    :param timeout: seconds for the question to the brokers
    :raises ConfigurationError: the producer's limit is not a number
    """

    def __init__(self, config: KafkaConfig, topic: str, timeout: float) -> None:
        self._config = config
        self._topic = topic
        self._timeout = timeout
        own = config.settings.get("message.max.bytes", PRODUCER_BYTES)
        try:
            self._own = int(own)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"message.max.bytes must be a number of bytes, not {own!r}"
            ) from error

    def require_fitting(self, size: int) -> None:
        """Check that the producer and the topic accept a record of ``size`` bytes.

        A topic's limit is on what was compressed, so with compression only the broker can tell;
        where the topic's settings may not be seen, or no broker answers in time, too.

        :raises RecordTooLarge: it does not fit
        :raises AccessDenied: the credentials are refused
        :raises TopicNotFound: the topic does not exist
        """
        if size > self._own:
            limit = f"the producer's 'message.max.bytes' is {self._own:,}"
            raise too_large(self._topic, size, limit)
        if size >= ASK_FROM_BYTES and size > self._theirs:
            limit = f"the topic's 'max.message.bytes' is {self._theirs:,.0f}"
            raise too_large(self._topic, size, limit)

    @cached_property
    def _theirs(self) -> float:
        if self._config.settings.get("compression.type", "none") != "none":
            return math.inf
        admin = make(AdminClient, self._config.admin())
        try:
            partition_count(admin, self._topic, self._config.bootstrap_servers, self._timeout)
            return int(topic_settings(admin, self._topic, self._timeout)["max.message.bytes"])
        except (ck.KafkaException, BrokerUnreachable):
            return math.inf


def require_fitting(config: KafkaConfig, topic: str, size: int, timeout: float) -> None:
    """Make sure that one record fits, as :meth:`SizeCheck.require_fitting` does."""
    SizeCheck(config, topic, timeout).require_fitting(size)
