"""Publish records in a transaction that is aborted, to test readers: none of them may see these."""

from __future__ import annotations

import uuid
from typing import Any, cast

import confluent_kafka as ck

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.error_translation import translate
from kafka_bridge.protocol.headers import Headers

TRANSACTION_SECONDS = 10.0
"""After this the brokers abort the transaction themselves."""
START_SECONDS = 60.0
"""How long the brokers may take to be ready: before the first transaction, they make a topic."""


def publish_aborted(
    config: KafkaConfig, topic: str, key: bytes, value: bytes, headers: Headers
) -> None:
    """Publish a record in a transaction, wait until the brokers have it, and abort.

    :raises KafkaError: the brokers do not know transactions, refuse them or do not answer
    """
    settings = {
        **config.producer(TRANSACTION_SECONDS),
        "transactional.id": f"{config.reader_prefix}aborted-{uuid.uuid4().hex[:12]}",
        "transaction.timeout.ms": int(TRANSACTION_SECONDS * 1000),
    }
    producer = make(ck.Producer, settings)
    try:
        producer.init_transactions(START_SECONDS)
        producer.begin_transaction()
        producer.produce(topic, value, key, headers=cast(Any, headers))
        producer.flush(TRANSACTION_SECONDS)
        producer.abort_transaction(TRANSACTION_SECONDS)
    except ck.KafkaException as error:
        doing = f"aborting a transaction on topic {topic!r}"
        raise translate(
            error, doing=doing, servers=config.bootstrap_servers, topic=topic
        ) from error
