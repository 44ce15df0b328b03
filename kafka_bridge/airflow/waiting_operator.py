"""The base of the operators that wait for one job, in a triggerer or in the task's process."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from kafka_bridge.airflow import arguments
from kafka_bridge.airflow.base import BridgeOperator
from kafka_bridge.airflow.handles import JobHandle
from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.resume_delay import usual_resume_delay
from kafka_bridge.airflow.settings import CONFIGURED, Setting
from kafka_bridge.airflow.specs import Reply, ResultSpec, WaitSpec
from kafka_bridge.airflow.triggers import KafkaJobTrigger
from kafka_bridge.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from kafka_bridge.airflow.arguments import Duration
    from kafka_bridge.airflow.triggerer.job_wait import JobWait


class WaitingOperator(BridgeOperator):
    """The base of the operators that wait for a job's end and return its result.

    The public operators explain its parameters.

    :raises ConfigurationError: an argument is invalid, or contradicts another one
    """

    deferral_timeout: timedelta | None = None
    """When set, Airflow itself ends the wait after this time."""

    def __init__(
        self,
        *,
        heartbeat_timeout: Duration | Setting = CONFIGURED,
        progress_timeout: Duration | None = None,
        progress_log_interval: Duration = 5.0,
        result_handler: Callable[[Any], Any] | None = None,
        deferrable: bool | None = None,
        wait_before_deferring: Duration | Setting = CONFIGURED,
        end_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heartbeat_timeout = arguments.seconds("heartbeat_timeout", heartbeat_timeout)
        self.progress_timeout = arguments.limit("progress_timeout", progress_timeout)
        self.progress_log_interval = arguments.seconds(
            "progress_log_interval", progress_log_interval
        )
        job_limits()  # an invalid limit is an error of the DAG file, before anything is published
        self.result_handler = result_handler
        self.deferrable = arguments.deferrable(deferrable, required=end_from_trigger)
        if end_from_trigger and wait_before_deferring is CONFIGURED:
            wait_before_deferring = 0.0
        self.wait_before_deferring = arguments.seconds(
            "wait_before_deferring", wait_before_deferring, may_be_0=True
        )
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
            "wait_before_deferring": self.wait_before_deferring > 0,
            "result_handler": self.result_handler is not None,
            "outlets": bool(self.outlets),
            "multiple_outputs": self.multiple_outputs,
        }

    def wait_for(self, context: Context, job: JobHandle) -> Any:
        """Wait here, and defer if the job takes longer; return the task's XCom.

        :raises KafkaJobKilled: the task was killed, marked or cleared meanwhile
        """
        # Not at the top: a DAG file that imports the operator would load the Kafka client.
        from kafka_bridge.airflow.triggerer.job_wait import JobWait  # noqa: PLC0415

        began, seconds = time.monotonic(), seconds_here(self)
        if seconds == 0:
            self._defer(context, job)
        wait = JobWait(self.wait_spec(job), self.log)
        event = self.wait_here(wait, job, seconds)
        if event is None:
            waited = timedelta(seconds=time.monotonic() - began)
            self._defer(context, job, wait.logged_offsets, waited)
        return self.execute_complete(context, event, job=job.to_json(), wait=wait)

    def wait_here(self, wait: JobWait, job: JobHandle, seconds: float | None) -> Any:
        """Wait in this process; return what a trigger would fire, or None if time is up.

        :param seconds: how long to wait; None: until the job has ended
        """
        from kafka_bridge.airflow.triggerer.in_task import event_within  # noqa: PLC0415

        words = "Waiting for job %s in this worker slot %s"
        self.log.info(words, job.correlation_id, how_long(seconds))
        return event_within(wait, self.kafka, job.response_topic, seconds)

    def _defer(
        self,
        context: Context,
        job: JobHandle,
        logged_offsets: Sequence[int] = (),
        waited: timedelta = timedelta(0),
    ) -> NoReturn:
        """Let a triggerer wait for the job, after this process has waited for some time."""
        self.stop_if_ended(context)
        self.log.info("Waiting in a triggerer for job %s", job.correlation_id)
        timeout = self.deferral_timeout
        if timeout is not None:
            timeout = max(timeout - waited, timedelta(0))
        spec = self.wait_spec(job, usual_resume_delay())
        self.defer(
            trigger=KafkaJobTrigger.of(spec._replace(logged_offsets=list(logged_offsets))),
            method_name="execute_complete",
            kwargs={"job": job.to_json()},
            timeout=timeout,
        )

    @abstractmethod
    def known_job(self, context: Context) -> JobHandle:
        """Return the handle of the job that this task waits for."""

    def wait_spec(self, job: JobHandle, resume_delay: float = 0.0) -> WaitSpec:
        """Return what a trigger, or this process, waits for.

        A plain reply is the only response, so one timeout bounds it: the sum of both. If one of
        the two is None, the sum is. ``schedule_to_close_timeout`` bounds it as well. A service with
        plain replies reads no CANCEL.

        :param resume_delay: seconds before which Airflow must not resume the task
        """
        start, close = self.schedule_to_start_timeout, self.start_to_close_timeout
        heartbeat: float | None = self.heartbeat_timeout
        progress = self.progress_timeout
        if job.reply == Reply.PLAIN:
            start = None if start is None or close is None else start + close
            heartbeat = progress = close = None
        return WaitSpec(
            correlation_id=job.correlation_id,
            job_type=job.job_type,
            kafka_config_id=self.kafka_config_id,
            response_topic=job.response_topic,
            control_topic=self.control_topic,
            encoding=self.encoding,
            start_offsets=job.start_offsets,
            submitted_at=job.submitted_at,
            first_submitted_at=job.limited_since,
            schedule_to_start_timeout=start,
            heartbeat_timeout=heartbeat,
            start_to_close_timeout=close,
            schedule_to_close_timeout=self.schedule_to_close_timeout,
            progress_timeout=progress,
            progress_log_interval=self.progress_log_interval,
            not_before=time.time() + resume_delay,
            resume_delay=resume_delay,
            cancel_on_kill=self.cancel_on_kill and job.reply != Reply.PLAIN,
            end_from_trigger=self.end_from_trigger and self.deferrable,
            reply=Reply(job.reply),
            logged_offsets=[],
            request_topic=job.request_topic,
            request_partition=job.request_partition,
            request_offset=job.request_offset,
        )

    def execute_complete(
        self,
        context: Context,
        event: dict[str, Any],
        job: dict[str, Any] | None = None,
        *,
        wait: JobWait | None = None,
    ) -> Any:
        """Read the job's terminal record and return its result.

        :param event: what the trigger fired
        :param job: the job's handle; ``dag.test()`` drops it, and it is looked up again
        :param wait: the wait in this process that has received the terminal record, if any
        :raises KafkaJobFailed: the worker failed it
        :raises KafkaJobFailedNonRetryable: the worker failed it with a non-retryable error
        :raises KafkaJobCancelled: it was cancelled
        :raises KafkaJobTimedOut: a timeout ended the wait
        :raises KafkaJobTimedOutNonRetryable: ``schedule_to_close_timeout`` ended it
        :raises ResultTooLarge: its result is larger than an XCom may be
        :raises RecordGone: the terminal record is no longer in the topic
        :raises ResultUnreadable: the result does not match its media type
        :raises ResultNotStorable: Airflow cannot store the result
        """
        # Not at the top: a DAG file that imports the operator would load the Kafka client.
        from kafka_bridge.airflow.submit.completion import JobCompletion  # noqa: PLC0415

        handle = JobHandle.from_json(job) if job else self.known_job(context)
        self.in_flight = None  # it has ended; after a timeout, it is cancelled here
        spec = ResultSpec(self.result_handler, self.do_xcom_push, self.multiple_outputs)
        closes_at = handle.closes_at(self.schedule_to_close_timeout)
        completion = JobCompletion(
            handle, spec, self.kafka, self.log, self.cancel_on_kill, closes_at
        )
        return completion.xcom(event, wait.end if wait is not None else None)


def seconds_here(operator: Any) -> float | None:
    """Return how long a task waits in its own process; None: as long as it takes; 0: not at all.

    A task with an ``execution_timeout`` defers after half of it at the latest: Airflow enforces it
    only while the task runs in a process.

    :param operator: an operator with ``deferrable`` and ``wait_before_deferring``
    """
    if not operator.deferrable:
        return None
    seconds: float = operator.wait_before_deferring
    if operator.execution_timeout is not None:
        seconds = min(seconds, operator.execution_timeout.total_seconds() / 2)
    return seconds


def how_long(seconds: float | None) -> str:
    """Return how long a task waits in its own process, for its log."""
    if seconds is None:
        return "(deferrable=True waits in a triggerer)"
    return f"for up to {seconds:g} s"
