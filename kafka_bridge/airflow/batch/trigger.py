"""The batch's trigger: one for all its jobs, however many. It holds no worker slot."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from airflow.triggers.base import TriggerEvent

from kafka_bridge.airflow.batch.specs import BatchWaitSpec, OnFailure
from kafka_bridge.airflow.compat import KillableTrigger
from kafka_bridge.airflow.resume_delay import until_resumable
from kafka_bridge.airflow.specs import Reply, plain
from kafka_bridge.protocol.encodings import Encoding

if TYPE_CHECKING:
    from kafka_bridge.airflow.batch.wait import BatchWait


class KafkaJobBatchTrigger(KillableTrigger):
    """Waits until the jobs of a batch have finished, logs progress, and fires one small event.

    The event is ``{"succeeded": …, "failed": …, "total": …}``, or ``{"error": …, "message": …}``
    when a timeout or the reader ended the wait. With ``"fail_fast"``, the jobs that the first
    failure leaves unfinished are cancelled.

    :param batch_id: the correlation ids of the jobs follow from it
    :param count: how many jobs there are
    :param kafka_config_id: the Airflow connection
    :param response_topic: where their events come
    :param control_topic: where they are cancelled
    :param encoding: how commands are encoded, ``"avro"`` or ``"json"``
    :param start_offsets: by partition, where the response topic ended before the first publish
    :param submitted_at: when the batch was submitted, seconds since 1970
    :param on_failure: ``"fail_fast"`` ends the wait with the first failed job, ``"collect"`` waits
        for all jobs
    :param timeout: seconds from the submission until all jobs must have finished
    :param heartbeat_timeout: seconds without any event of any worker while jobs run
    :param schedule_to_start_timeout: the same while all unfinished jobs are queued
    :param cancel_on_kill: cancel the unfinished jobs when a person marks or clears the task, and
        after a timeout
    :param progress_log_interval: seconds between two progress lines in the task's log
    :param not_before: do not resume the task before this moment, seconds since 1970
    :param resume_delay: how long after the deferral that is
    :param reply: how the service answers: ``"events"``, or ``"plain"``, with the result only
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
        resume_delay: float = 0.0,
        reply: str = "events",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.spec = BatchWaitSpec(
            batch_id=batch_id,
            count=count,
            kafka_config_id=kafka_config_id,
            response_topic=response_topic,
            control_topic=control_topic,
            encoding=Encoding(encoding),
            start_offsets=list(start_offsets),
            submitted_at=submitted_at,
            on_failure=OnFailure(on_failure),
            timeout=timeout,
            heartbeat_timeout=heartbeat_timeout,
            schedule_to_start_timeout=schedule_to_start_timeout,
            cancel_on_kill=cancel_on_kill,
            progress_log_interval=progress_log_interval,
            not_before=not_before,
            resume_delay=resume_delay,
            reply=Reply(reply),
        )
        self._wait: BatchWait | None = None
        self._fired = False

    @classmethod
    def of(cls, spec: BatchWaitSpec) -> Self:
        """Return the trigger of a spec."""
        return cls(**plain(asdict(spec)))

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow stores: plain JSON, no secret, no payload, no list of jobs."""
        path = f"{KafkaJobBatchTrigger.__module__}.{KafkaJobBatchTrigger.__qualname__}"
        return path, plain(asdict(self.spec))

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event when the batch has finished, or the wait for it has ended."""
        # Not at the top: a DAG file that imports the operator would load the Kafka client.
        from kafka_bridge.airflow.batch.wait import BatchWait  # noqa: PLC0415

        began = time.time()
        self._wait = BatchWait(self.spec, self.log)
        event = await self._wait.final_event()
        await until_resumable(self.spec.not_before, self.spec.resume_delay, began)
        self._fired = True
        yield event

    async def on_kill(self) -> None:
        """Cancel the unfinished jobs, unless the task goes on without this trigger.

        Airflow calls this as it does :meth:`KafkaJobTrigger.on_kill`.
        """
        if self.spec.cancel_on_kill and self._wait is not None and not self._fired:
            await self._wait.cancel_unless_deferred(self.task_instance)
