"""Cancels the jobs of a batch, from its task's process or from the triggerer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from kafka_bridge.airflow.batch.specs import BatchSpec, BatchWaitSpec
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.kafka.commands import cancel_all
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import KafkaBridgeError


class Log(Protocol):
    """The part of a logger that is used here."""

    def info(self, event: str, /, *args: object) -> object:
        """Write a line."""

    def warning(self, event: str, /, *args: object) -> object:
        """Write a warning."""


def cancel_jobs(
    spec: BatchSpec | BatchWaitSpec,
    kafka: Callable[[], KafkaConfig],
    jobs: Sequence[str],
    reason: str,
    *,
    timeout: float,
    log: Log,
) -> None:
    """Publish a CANCEL command for each job. A failure is logged, not raised. Blocks.

    A service with plain replies reads no commands: nothing is published for it.

    :param kafka: looks up how the connection reaches Kafka
    :param timeout: seconds for the whole delivery
    """
    if not jobs or spec.reply is Reply.PLAIN:
        return
    try:
        cancel_all(
            kafka(), spec.control_topic, jobs, reason, encoding=spec.encoding, timeout=timeout
        )
    except KafkaBridgeError as error:
        log.warning("Publishing CANCEL for %d jobs failed: %s", len(jobs), error)
    else:
        log.info("Published CANCEL for %d jobs: %s", len(jobs), reason)
