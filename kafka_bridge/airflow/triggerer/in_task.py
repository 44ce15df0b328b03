"""Waits in a task's own process as a trigger waits in a triggerer, but only for a limited time."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from airflow.triggers.base import TriggerEvent

from kafka_bridge.airflow.kafka_access import KafkaAccess
from kafka_bridge.airflow.triggerer.shared_readers import open_for_task


class Wait(Protocol):
    """The wait for one job, or for the jobs of a batch."""

    async def final_event(self) -> TriggerEvent:
        """Return what a trigger fires."""


def event_within(
    wait: Wait, kafka: KafkaAccess, response_topic: str, seconds: float | None
) -> dict[str, Any] | None:
    """Run a wait in this process, and return the payload of its event.

    Returns None if the wait has not ended in time. It is cancelled then: the reader forgets its
    jobs, and another wait from the same start offsets finds everything again.

    :param seconds: how long to wait; None: as long as it takes
    :raises ConfigurationError: the connection cannot be used
    """
    return asyncio.run(_event_within(wait, kafka, response_topic, seconds))


async def _event_within(
    wait: Wait, kafka: KafkaAccess, response_topic: str, seconds: float | None
) -> dict[str, Any] | None:
    open_for_task(kafka.config, kafka.kafka_config_id, response_topic)
    try:
        async with asyncio.timeout(seconds):
            payload: dict[str, Any] = (await wait.final_event()).payload
            return payload
    except TimeoutError:
        return None
