"""The sensor: waits for a job that another task has published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BaseSensorOperator

from kafka_bridge.airflow import arguments
from kafka_bridge.airflow.compat import (
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferralTimeout,
)
from kafka_bridge.airflow.exceptions import KafkaJobKilled, without_frames
from kafka_bridge.airflow.handles import JobHandle
from kafka_bridge.airflow.settings import CONFIGURED, Setting
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.waiting_operator import WaitingOperator
from kafka_bridge.protocol.errors import ConfigurationError, JobError

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from kafka_bridge.airflow.arguments import Duration
    from kafka_bridge.airflow.triggerer.job_wait import JobWait

_OF_POKING = (
    "poke_interval",
    "mode",
    "exponential_backoff",
    "max_wait",
    "silent_fail",
    "never_fail",
)
"""Arguments of Airflow's sensors that have no meaning where nothing is poked."""


def _refuse_what_has_no_effect(kwargs: Mapping[str, Any]) -> None:
    for name in _OF_POKING:
        if name in kwargs:
            raise ConfigurationError(
                f"KafkaJobSensor does not poke, so it has no {name}: leave it out. "
                "deferrable=True waits without a worker slot"
            )
    if "reply" in kwargs:
        raise ConfigurationError(
            "KafkaJobSensor has no reply: leave it out. "
            "The job's handle says how the service replies"
        )


class KafkaJobSensor(WaitingOperator, BaseSensorOperator):
    """Waits without a worker slot for a job that another task has published; returns its result.

    It logs the job's progress and fails as :class:`KafkaJobOperator` does. It does not poke: the
    job's events arrive in a triggerer, or with ``deferrable=False`` in the task's own process. The
    job belongs to another task: a kill or a timeout does not cancel it, unless ``cancel_on_kill``
    is set. The parameters that are not listed here are those of :class:`KafkaJobOperator`.

    :param job: the handle that :class:`KafkaJobPublishOperator` returned, in this DAG or in another
        one: its output, a dictionary, or JSON text (templated)
    :param timeout: how long the sensor may wait in each try, a timedelta or seconds; then it fails
        with AirflowSensorTimeout, without retries. None: ``[sensors] default_timeout``
    :param soft_fail: skip the task, instead of failing it, when the job failed, was cancelled or
        timed out, and when ``timeout`` has passed. Other errors (the brokers cannot be reached, the
        result cannot be stored) still fail the task
    :param kafka_config_id: the Airflow connection; None: the one that published the job
    :param cancel_on_kill: cancel the job when this task is marked, cleared or killed, and when a
        timeout ends the wait
    :raises ConfigurationError: an argument is invalid, or contradicts another one
    """

    template_fields: Sequence[str] = ("job", "control_topic")
    template_fields_renderers = {"job": "json"}  # noqa: RUF012  Airflow's own form
    ui_color = "#e0ece8"

    def __init__(
        self,
        *,
        job: Any,
        timeout: Duration | None = None,
        soft_fail: bool = False,
        heartbeat_timeout: Duration | Setting = CONFIGURED,
        schedule_to_start_timeout: Duration | Setting | None = CONFIGURED,
        start_to_close_timeout: Duration | Setting | None = CONFIGURED,
        schedule_to_close_timeout: Duration | Setting | None = CONFIGURED,
        progress_timeout: Duration | None = None,
        result_handler: Callable[[Any], Any] | None = None,
        progress_log_interval: Duration = 5.0,
        deferrable: bool | None = None,
        wait_before_deferring: Duration | Setting = CONFIGURED,
        end_from_trigger: bool = False,
        cancel_on_kill: bool = False,
        kafka_config_id: str | None = None,
        control_topic: str | Setting = CONFIGURED,
        encoding: str | Setting = CONFIGURED,
        broker_timeout: Duration = 30.0,
        **kwargs: Any,
    ) -> None:
        own = arguments.own(locals())
        _refuse_what_has_no_effect(kwargs)
        del own["job"]
        if kafka_config_id is None:
            del own["kafka_config_id"]
        if timeout is None:
            del own["timeout"]
        else:
            own["timeout"] = arguments.seconds("timeout", timeout)
        super().__init__(**own, **kwargs)
        self.job = job
        self.deferral_timeout = timedelta(seconds=self.timeout)
        self._uses_connection_of_job = kafka_config_id is None
        arguments.require_storable_fields(self)

    def execute(self, context: Context) -> Any:
        """Wait until the job ends.

        :raises ConfigurationError: ``job`` is not a handle
        :raises AirflowSensorTimeout: ``timeout`` has passed
        :raises AirflowSkipException: with ``soft_fail``, instead of that and of JobError
        :raises JobError: as :meth:`WaitingOperator.execute_complete`
        """
        job = self.known_job(context)
        self.in_flight = job.correlation_id
        try:
            return self.wait_for(context, job)
        except (JobError, AirflowSensorTimeout) as error:
            raise self._outcome(error) from None

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> Any:
        """Go on after the deferral; Airflow calls this."""
        job = self.known_job(context)
        try:
            # Not the sensor's own: its soft_fail would skip after an error of the brokers, too.
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            raise self._outcome(self._timed_out(job.correlation_id)) from None
        except JobError as error:
            raise self._outcome(error) from None

    def wait_here(self, wait: JobWait, job: JobHandle, seconds: float | None) -> Any:
        """Wait in this process, within ``timeout``; see :meth:`WaitingOperator.wait_here`.

        :raises AirflowSensorTimeout: ``timeout`` has passed
        """
        limit = self.timeout if seconds is None else min(seconds, self.timeout)
        event = super().wait_here(wait, job, limit)
        if event is None and limit == self.timeout:
            raise self._timed_out(job.correlation_id)
        return event

    def known_job(self, context: Context) -> JobHandle:  # noqa: ARG002  other operators need it
        """Return the handle that this sensor was given.

        :raises ConfigurationError: ``job`` is not a handle
        """
        job = JobHandle.from_json(self.job)
        if self._uses_connection_of_job:
            self.kafka_config_id = job.kafka_config_id
        self.reply = Reply(job.reply)
        return job

    def _timed_out(self, correlation_id: str) -> AirflowSensorTimeout:
        message = (
            f"job {correlation_id} did not finish within the sensor's timeout of {self.timeout:g} s"
        )
        self.in_flight = None
        if self.cancel_on_kill:
            self.kafka.cancel(correlation_id, message)
        return AirflowSensorTimeout(message)

    def _outcome(self, error: Exception) -> Exception:
        """Return what the task raises after this error: with ``soft_fail``, a skip."""
        if not self.soft_fail or isinstance(error, KafkaJobKilled):
            return without_frames(error)
        self.log.info("soft_fail is set, so this task is skipped: %s", error)
        return AirflowSkipException(str(error))
