"""The trigger: waits for a job on the process's shared response reader. It holds no worker slot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from kafka_bridge.protocol.errors import KafkaBridgeError


class KafkaJobTrigger(BaseTrigger):
    """Waits until a job ends, logs its progress, and fires one small event.

    The event is ``{"state": …, "partition": …, "offset": …}``, which says where the job's terminal
    record lies, or ``{"error": …, "message": …}`` when a waiting rule or the reader ended the wait.

    :param correlation_id: the job
    :param kafka_config_id: the Airflow connection
    :param response_topic: where its events come
    :param start_offsets: by partition, where that topic ended before the request was published
    :param submitted_at: when the request was published, seconds since 1970
    :param schedule_to_start_timeout: seconds until a worker must have accepted the job
    :param heartbeat_timeout: seconds that an accepted job's worker may be silent
    :param start_to_close_timeout: seconds that an accepted job may run
    :param progress_log_interval: seconds between two progress lines in the task's log
    :param not_before: fire no event before this moment, seconds since 1970
    """

    def __init__(
        self,
        *,
        correlation_id: str,
        kafka_config_id: str,
        response_topic: str,
        start_offsets: Sequence[int],
        submitted_at: float,
        schedule_to_start_timeout: float | None = None,
        heartbeat_timeout: float | None = None,
        start_to_close_timeout: float | None = None,
        progress_log_interval: float = 5.0,
        not_before: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.correlation_id = correlation_id
        self.kafka_config_id = kafka_config_id
        self.response_topic = response_topic
        self.start_offsets = list(start_offsets)
        self.submitted_at = submitted_at
        self.schedule_to_start_timeout = schedule_to_start_timeout
        self.heartbeat_timeout = heartbeat_timeout
        self.start_to_close_timeout = start_to_close_timeout
        self.progress_log_interval = progress_log_interval
        self.not_before = not_before

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow stores: plain JSON, no secret, no payload."""
        return (
            f"{KafkaJobTrigger.__module__}.{KafkaJobTrigger.__qualname__}",
            {
                "correlation_id": self.correlation_id,
                "kafka_config_id": self.kafka_config_id,
                "response_topic": self.response_topic,
                "start_offsets": self.start_offsets,
                "submitted_at": self.submitted_at,
                "schedule_to_start_timeout": self.schedule_to_start_timeout,
                "heartbeat_timeout": self.heartbeat_timeout,
                "start_to_close_timeout": self.start_to_close_timeout,
                "progress_log_interval": self.progress_log_interval,
                "not_before": self.not_before,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event when the job has ended, or the wait for it has."""
        # Not at the top: a DAG file that imports the operator would load the Kafka client.
        from kafka_bridge.airflow.job_wait import JobWait

        try:
            outcome = await JobWait(self).outcome()
        except KafkaBridgeError as error:
            outcome = {"error": type(error).__name__, "message": str(error)}
        await asyncio.sleep(self.not_before - time.time())
        yield TriggerEvent(outcome)
