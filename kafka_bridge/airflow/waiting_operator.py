"""What the operators that wait for a job share: how they wait, and what they make of its end."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kafka_bridge.airflow import arguments
from kafka_bridge.airflow.base import BridgeOperator
from kafka_bridge.airflow.handles import JobHandle
from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.resume_delay import settle_seconds
from kafka_bridge.airflow.settings import CONFIGURED, Setting
from kafka_bridge.airflow.specs import Reply, ResultSpec, WaitSpec
from kafka_bridge.airflow.triggers import KafkaJobTrigger
from kafka_bridge.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context
    from airflow.triggers.base import BaseTrigger

    from kafka_bridge.airflow.arguments import Duration


class WaitingOperator(BridgeOperator):
    """The base of the operators that wait for a job's end, and whose XCom is its result.

    :param heartbeat_timeout: silence after which the worker counts as lost. Longer than Kafka needs
        to give a dead worker's job to another one (session time-out, 30 s by default)
    :param progress_log_interval: the shortest time between two progress lines in the task's log
    :param result_handler: called with the result; what it returns is the task's XCom. A retry after
        it has failed calls it again, and does not run the job again
    :param deferrable: wait in a triggerer, which holds no worker slot; False for deployments
        without one
    :param end_from_trigger: a job that succeeds ends its task in the triggerer, with no worker
        started for that. Not together with what needs one. Airflow 3.3 stores such a result as JSON
        text: who pulls it parses it
    :raises ConfigurationError: a value makes no sense, or contradicts another one
    """

    def __init__(
        self,
        *,
        heartbeat_timeout: Duration | Setting = CONFIGURED,
        progress_log_interval: Duration = 5.0,
        result_handler: Callable[[Any], Any] | None = None,
        deferrable: bool = True,
        end_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heartbeat_timeout = arguments.seconds("heartbeat_timeout", heartbeat_timeout)
        self.progress_log_interval = arguments.seconds(
            "progress_log_interval", progress_log_interval
        )
        job_limits()  # what is wrong with them is an error of the DAG file, before anything is sent
        self.result_handler = result_handler
        self.deferrable = deferrable
        self.end_from_trigger = end_from_trigger
        asked_for = [name for name, is_set in self.what_needs_a_worker().items() if is_set]
        if end_from_trigger and asked_for:
            raise ConfigurationError(
                f"end_from_trigger=True ends the task without a worker, and {asked_for[0]} needs "
                "one: leave out one of the two"
            )

    def what_needs_a_worker(self) -> dict[str, bool]:
        """Return what only a worker can do, by name, and whether it is asked for."""
        return {
            "deferrable=False": not self.deferrable,
            "result_handler": self.result_handler is not None,
            "outlets": bool(self.outlets),
            "multiple_outputs": self.multiple_outputs,
        }

    def wait_for(self, context: Context, job: JobHandle) -> Any:
        """Defer until the job ends, or wait here; return what :meth:`execute_complete` returns.

        :raises KafkaJobKilled: a person has ended or cleared the task meanwhile
        """
        kwargs = {"job": job.to_json()}
        if self.deferrable:
            self.stop_if_ended(context)
            self.log.info("Waiting in a triggerer for job %s", job.correlation_id)
            trigger = self._trigger(job, settle_seconds())
            self.defer(trigger=trigger, method_name="execute_complete", kwargs=kwargs)
        self.log.info("Waiting here for job %s", job.correlation_id)
        event = asyncio.run(first_event(self._trigger(job, 0.0)))
        return self.execute_complete(context, event, **kwargs)

    @abstractmethod
    def known_job(self, context: Context) -> JobHandle:
        """Return the handle of the job that this task waits for."""

    def _trigger(self, job: JobHandle, resume_delay: float) -> KafkaJobTrigger:
        return KafkaJobTrigger.of(self.wait_spec(job, resume_delay))

    def wait_spec(self, job: JobHandle, resume_delay: float) -> WaitSpec:
        """Return what a trigger waits for.

        A plain reply is the only response, so one time-out bounds it: the sum of both. If one of
        the two is None, the sum is.

        :param resume_delay: seconds before which Airflow must not resume the task
        """
        start, close = self.schedule_to_start_timeout, self.start_to_close_timeout
        heartbeat: float | None = self.heartbeat_timeout
        if job.reply == Reply.PLAIN:
            start = None if start is None or close is None else start + close
            heartbeat = close = None
        return WaitSpec(
            correlation_id=job.correlation_id,
            job_type=job.job_type,
            kafka_config_id=self.kafka_config_id,
            response_topic=job.response_topic,
            control_topic=self.control_topic,
            encoding=self.encoding,
            start_offsets=job.start_offsets,
            submitted_at=job.submitted_at,
            schedule_to_start_timeout=start,
            heartbeat_timeout=heartbeat,
            start_to_close_timeout=close,
            progress_log_interval=self.progress_log_interval,
            not_before=time.time() + resume_delay,
            resume_delay=resume_delay,
            cancel_on_kill=self.cancel_on_kill,
            end_from_trigger=self.end_from_trigger and self.deferrable,
            reply=Reply(job.reply),
        )

    def execute_complete(
        self,
        context: Context,
        event: dict[str, Any],
        job: dict[str, Any] | None = None,
    ) -> Any:
        """Read the job's terminal record and return its result.

        :param event: what the trigger fired
        :param job: the job's handle; ``dag.test()`` drops it, and it is looked up again
        :raises KafkaJobFailed: the worker failed it
        :raises KafkaJobFailedForGood: the worker failed it, and trying again cannot help
        :raises KafkaJobCancelled: it was cancelled
        :raises KafkaJobTimedOut: a waiting rule ended it
        :raises ResultTooLarge: its result is larger than an XCom may be
        :raises RecordGone: the terminal record is no longer there
        :raises ResultUnreadable: the result is not what its media type says
        :raises ResultNotStorable: Airflow cannot store the result
        """
        # Not at the top: a DAG file that imports the operator would load the Kafka client.
        from kafka_bridge.airflow.submit.completion import JobCompletion

        handle = JobHandle.from_json(job) if job else self.known_job(context)
        self.in_flight = None  # it has ended; after a time-out, it is cancelled here
        spec = ResultSpec(self.result_handler, self.do_xcom_push, self.multiple_outputs)
        completion = JobCompletion(handle, spec, self.kafka, self.log, self.cancel_on_kill)
        return completion.xcom(event)


async def first_event(trigger: BaseTrigger) -> dict[str, Any]:
    """Run a trigger here, and return the payload of its event."""
    async for event in trigger.run():
        payload: dict[str, Any] = event.payload
        return payload
    raise AssertionError("a trigger fires one event")
