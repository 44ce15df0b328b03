"""The answer of ``list_topics``, for fakes of confluent_kafka's clients."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import confluent_kafka as ck


def topic_metadata(partitions: Mapping[str, int], topic: str | None = None) -> Any:
    """Return metadata as ``list_topics`` does; a topic without partitions does not exist.

    :param partitions: the number of partitions of each topic
    :param topic: the only topic that was asked for; without it, all of them
    """
    asked = [topic] if topic is not None else list(partitions)
    return SimpleNamespace(topics={each: _one(partitions.get(each, 0)) for each in asked})


def _one(count: int) -> SimpleNamespace:
    missing = ck.KafkaError(ck.KafkaError.UNKNOWN_TOPIC_OR_PART)
    numbers = {number: SimpleNamespace(id=number, error=None) for number in range(count)}
    return SimpleNamespace(error=None if count else missing, partitions=numbers)
