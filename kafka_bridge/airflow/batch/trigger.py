"""The batch's trigger: one for all its jobs, however many. It holds no worker slot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from kafka_bridge.airflow.resume_delay import until_settled
from kafka_bridge.protocol.errors import KafkaBridgeError

if TYPE_CHECKING:
    from kafka_bridge.airflow.batch.wait import BatchWait


class OnFailure(StrEnum):
    """What the first job that fails does to the batch."""

    FAIL_FAST = "fail_fast"
    """It ends it."""
    COLLECT = "collect"
    """All jobs are waited for."""


class KafkaJobBatchTrigger(BaseTrigger):
    """Waits until the jobs of a batch have ended, logs their progress, and fires one small event.

    The event is ``{"succeeded": …, "failed": …, "total": …}``, or ``{"error": …, "message": …}``
    when a waiting rule or the reader ended the wait. What the first failure
    leaves unfinished is cancelled.

    :param batch_id: from which the jobs' correlation ids follow
    :param count: how many jobs there are
    :param kafka_config_id: the Airflow connection
    :param response_topic: where their events come
    :param control_topic: where they are cancelled
    :param encoding: how that is written, ``"avro"`` or ``"json"``
    :param start_offsets: by partition, where the response topic ended before the first publish
    :param submitted_at: when the batch was submitted, seconds since 1970
    :param on_failure: ``"fail_fast"`` ends the wait with the first job that fails, ``"collect"``
        waits for all
    :param timeout: seconds from the submission until the last job must have ended
    :param heartbeat_timeout: seconds that all workers may be silent while jobs run
    :param schedule_to_start_timeout: the same while all that is left is queued
    :param cancel_on_kill: cancel what is unfinished when a person ends or clears the task, and
        when time is up
    :param progress_log_interval: seconds between two progress lines in the task's log
    :param not_before: resume the task no sooner than at this moment, seconds since 1970
    :param settle_seconds: how long after its deferral that is
    :param reply: how the service answers: ``"events"``, or ``"plain"``, with its result alone
    """

    def __init__(
        self,
        *,
        batch_id: str,
        count: int,
        kafka_config_id: str,
        response_topic: str,
        control_topic: str,
        encoding: str,
        start_offsets: Sequence[int],
        submitted_at: float,
        on_failure: str,
        timeout: float | None = None,
        heartbeat_timeout: float | None = None,
        schedule_to_start_timeout: float | None = None,
        cancel_on_kill: bool = True,
        progress_log_interval: float = 5.0,
        not_before: float = 0.0,
        settle_seconds: float = 0.0,
        reply: str = "events",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.batch_id = batch_id
        self.count = count
        self.kafka_config_id = kafka_config_id
        self.response_topic = response_topic
        self.control_topic = control_topic
        self.encoding = encoding
        self.start_offsets = list(start_offsets)
        self.submitted_at = submitted_at
        self.on_failure = on_failure
        self.timeout = timeout
        self.heartbeat_timeout = heartbeat_timeout
        self.schedule_to_start_timeout = schedule_to_start_timeout
        self.cancel_on_kill = cancel_on_kill
        self.progress_log_interval = progress_log_interval
        self.not_before = not_before
        self.settle_seconds = settle_seconds
        self.reply = reply
        self._wait: BatchWait | None = None
        self._fired = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow stores: plain JSON, no secret, no payload, no list of jobs."""
        names = (
            "batch_id",
            "count",
            "kafka_config_id",
            "response_topic",
            "control_topic",
            "encoding",
            "start_offsets",
            "submitted_at",
            "on_failure",
            "timeout",
            "heartbeat_timeout",
            "schedule_to_start_timeout",
            "cancel_on_kill",
            "progress_log_interval",
            "not_before",
            "settle_seconds",
            "reply",
        )
        path = f"{KafkaJobBatchTrigger.__module__}.{KafkaJobBatchTrigger.__qualname__}"
        return path, {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event when the batch has ended, or the wait for it has."""
        # Not at the top: a DAG file that imports the operator would load the Kafka client.
        from kafka_bridge.airflow.batch.wait import BatchWait
        from kafka_bridge.airflow.triggerer.trigger_events import unexpected_failure, wait_failure

        began = time.time()
        try:
            # On a thread: it makes the ids of all jobs.
            self._wait = await asyncio.to_thread(BatchWait, self)
            outcome = await self._wait.outcome()
        except KafkaBridgeError as error:
            outcome = wait_failure(type(error).__name__, str(error))
        except Exception as error:
            outcome = unexpected_failure(self.log, error)
        await until_settled(self.not_before, self.settle_seconds, began)
        self._fired = True
        yield TriggerEvent(outcome)

    async def on_kill(self) -> None:
        """Cancel what is unfinished, unless the task goes on without this trigger.

        Airflow calls this as it does :meth:`KafkaJobTrigger.on_kill`.
        """
        if not self.cancel_on_kill or self._wait is None or self._fired:
            return
        from kafka_bridge.airflow.triggerer.cancel import REASON, unless_deferred

        wait = self._wait
        await unless_deferred(
            self, f"Batch {self.batch_id}", lambda: wait.cancel_unfinished(REASON)
        )
