"""The trigger: waits for a job in a triggerer, which holds no worker slot."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from kafka_bridge.airflow.compat import KillableTrigger
from kafka_bridge.airflow.resume_delay import until_resumable
from kafka_bridge.airflow.specs import Reply, WaitSpec, plain
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.topics import CONTROL_TOPIC


class KafkaJobTrigger(KillableTrigger):
    """Waits until a job ends, logs its progress, and fires one small event.

    The event is ``{"state": …, "partition": …, "offset": …}``, which says where the job's terminal
    record is, or ``{"error": …, "message": …}`` if a timeout or the reader ended the wait.

    :param correlation_id: the id of the job
    :param kafka_config_id: the Airflow connection
    :param response_topic: the topic of its events
    :param start_offsets: by partition, the end of that topic before the request was published
    :param submitted_at: when the request was published, seconds since 1970
    :param schedule_to_start_timeout: seconds until a worker must have accepted the job
    :param heartbeat_timeout: seconds without any event after which the worker counts as lost
    :param start_to_close_timeout: seconds that an accepted job may run
    :param schedule_to_close_timeout: seconds from the first submission to the job's end
    :param progress_timeout: seconds without anything new about an accepted job
    :param progress_log_interval: seconds between two progress lines in the task's log
    :param not_before: do not resume the task before this moment, seconds since 1970
    :param resume_delay: seconds from the deferral to that moment
    :param job_type: the job type, for metrics
    :param control_topic: the topic of its CANCEL command
    :param encoding: the encoding of commands, ``"avro"`` or ``"json"``
    :param cancel_on_kill: cancel the job when a person ends or clears the task
    :param end_from_trigger: finish the task here when the job has succeeded
    :param reply: how the service answers: ``"events"``, or ``"plain"``: only with the result
    :param logged_offsets: by partition, the end of those events that are in the task's log already;
        no value for a partition: none of its events are
    :param request_topic: the topic of its request, of which the log says how many jobs are queued;
        empty: the log says nothing of it
    :param request_partition: the partition of its request; None: it is not known
    :param request_offset: the offset of its request; None: it is not known
    :param first_submitted_at: when the task submitted its first job, seconds since 1970; None: this
        is the first one
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
        schedule_to_close_timeout: float | None = None,
        progress_timeout: float | None = None,
        progress_log_interval: float = 5.0,
        not_before: float = 0.0,
        resume_delay: float = 0.0,
        job_type: str = "",
        control_topic: str = CONTROL_TOPIC,
        encoding: str = "avro",
        cancel_on_kill: bool = False,
        end_from_trigger: bool = False,
        reply: str = "events",
        logged_offsets: Sequence[int] = (),
        request_topic: str = "",
        request_partition: int | None = None,
        request_offset: int | None = None,
        first_submitted_at: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.spec = WaitSpec(
            correlation_id=correlation_id,
            job_type=job_type,
            kafka_config_id=kafka_config_id,
            response_topic=response_topic,
            control_topic=control_topic,
            encoding=Encoding(encoding),
            start_offsets=list(start_offsets),
            submitted_at=submitted_at,
            first_submitted_at=submitted_at if first_submitted_at is None else first_submitted_at,
            schedule_to_start_timeout=schedule_to_start_timeout,
            heartbeat_timeout=heartbeat_timeout,
            start_to_close_timeout=start_to_close_timeout,
            schedule_to_close_timeout=schedule_to_close_timeout,
            progress_timeout=progress_timeout,
            progress_log_interval=progress_log_interval,
            not_before=not_before,
            resume_delay=resume_delay,
            cancel_on_kill=cancel_on_kill,
            end_from_trigger=end_from_trigger,
            reply=Reply(reply),
            logged_offsets=list(logged_offsets),
            request_topic=request_topic,
            request_partition=request_partition,
            request_offset=request_offset,
        )
        self._fired = False

    @classmethod
    def of(cls, spec: WaitSpec) -> Self:
        """Return the trigger of a spec."""
        return cls(**plain(spec._asdict()))

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow stores: plain JSON, without secrets and without the payload."""
        path = f"{KafkaJobTrigger.__module__}.{KafkaJobTrigger.__qualname__}"
        return path, plain(self.spec._asdict())

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event when the job, or the wait for it, has ended."""
        # Not at the top: a DAG file that imports the operator would load the Kafka client.
        from kafka_bridge.airflow.triggerer.job_wait import final_event  # noqa: PLC0415

        began = time.time()
        event = await final_event(self.spec, self.log)
        if not isinstance(event, TaskSuccessEvent):  # a task that ends here is not resumed
            await until_resumable(self.spec.not_before, self.spec.resume_delay, began)
        # Airflow may call on_kill for a trigger that has fired: nothing is to be cancelled then.
        self._fired = True
        yield event

    async def on_kill(self) -> None:
        """Cancel the job, unless the task is still deferred. Airflow calls this.

        Airflow calls it when a person has marked or cleared the task. Up to 3.3, Airflow also calls
        it when another triggerer has taken the trigger over, because the heartbeat of this one was
        late: then the task is still deferred, and its job goes on.
        """
        if self.spec.cancel_on_kill and not self._fired:
            from kafka_bridge.airflow.triggerer.cancel import cancel_unless_deferred  # noqa: PLC0415

            await cancel_unless_deferred(self.spec, self.task_instance, self.log)
