"""The operator: publishes a job request, defers, and returns the worker's result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator

from kafka_bridge.airflow.triggers import KafkaJobTrigger
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import ConfigurationError, RecordLocation
from kafka_bridge.protocol.topics import REQUEST_TOPIC, RESPONSE_TOPIC

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

SCHEDULER_SECONDS = 3.0
"""How long the scheduler may take until it has looked at what its executor reports."""

MAX_SECONDS = 100 * 365 * 86_400.0
"""A century: far longer, and the moment when a time-out ends can no longer be written."""

_ENCODINGS = (Encoding.AVRO, Encoding.JSON)


class KafkaJobOperator(BaseOperator):
    """Hands a job to a service over Kafka, waits without a worker slot, and returns its result.

    The result is the task's XCom. A failed job fails the task with the worker's own type, message
    and details; when the worker said that trying again cannot help, without retries.

    :param job_type: what the service is to do, a dotted name such as ``files.audit`` (templated)
    :param payload: what it needs for that: a dictionary, dataclass, pydantic model, anything with a
        JSON form, or bytes (templated)
    :param kafka_config_id: the Airflow connection, of type ``kafka``
    :param request_topic: where the service takes its jobs from (templated)
    :param response_topic: where it answers (templated)
    :param encoding: ``"avro"`` or ``"json"``; the service answers in the same one
    :param heartbeat_interval: how often the worker must at least speak, a timedelta or seconds
    :param heartbeat_timeout: silence after which the worker counts as lost. Longer than Kafka needs
        to give a dead worker's job to another one (session time-out, 30 s by default)
    :param schedule_to_start_timeout: how long the job may wait for a worker; None is for ever
    :param start_to_close_timeout: how long it may run; None is for ever
    :param delivery_timeout: how long the brokers have to acknowledge the request
    :param progress_log_interval: the shortest time between two progress lines in the task's log
    :raises ConfigurationError: a value makes no sense
    """

    template_fields: Sequence[str] = ("job_type", "payload", "request_topic", "response_topic")
    template_fields_renderers = {"payload": "json"}  # noqa: RUF012  Airflow's own form
    ui_color = "#e8f0e4"

    def __init__(
        self,
        *,
        job_type: str,
        payload: Any = None,
        kafka_config_id: str = "kafka_default",
        request_topic: str = REQUEST_TOPIC,
        response_topic: str = RESPONSE_TOPIC,
        encoding: str = "avro",
        heartbeat_interval: timedelta | float = 10.0,
        heartbeat_timeout: timedelta | float = 90.0,
        schedule_to_start_timeout: timedelta | float | None = timedelta(days=1),
        start_to_close_timeout: timedelta | float | None = None,
        delivery_timeout: timedelta | float = 30.0,
        progress_log_interval: timedelta | float = 5.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_type = job_type
        self.payload = payload
        self.kafka_config_id = kafka_config_id
        self.request_topic = request_topic
        self.response_topic = response_topic
        self.encoding = _encoding(encoding)
        self.heartbeat_interval = _seconds("heartbeat_interval", heartbeat_interval)
        self.heartbeat_timeout = _seconds("heartbeat_timeout", heartbeat_timeout)
        self.schedule_to_start_timeout = _limit(
            "schedule_to_start_timeout", schedule_to_start_timeout
        )
        self.start_to_close_timeout = _limit("start_to_close_timeout", start_to_close_timeout)
        self.delivery_timeout = _seconds("delivery_timeout", delivery_timeout)
        self.progress_log_interval = _seconds("progress_log_interval", progress_log_interval)
        if self.heartbeat_timeout <= self.heartbeat_interval:
            raise ConfigurationError(
                f"heartbeat_timeout ({self.heartbeat_timeout:g} s) must be longer than "
                f"heartbeat_interval ({self.heartbeat_interval:g} s)"
            )

    def execute(self, context: Context) -> NoReturn:
        """Publish the job request and defer until the job ends.

        :raises PayloadNotSerialisable: the payload has no JSON form
        :raises KafkaError: a topic is missing, or the brokers did not take the request
        """
        from kafka_bridge.airflow.connections import kafka_config
        from kafka_bridge.airflow.submission import last_attempt, request_of, submit

        store = context["task_state_store"]
        request = request_of(self, context, last_attempt(store) + 1)
        submission, location = submit(
            kafka_config(self.kafka_config_id),
            request,
            self.request_topic,
            self.encoding,
            store,
            self.delivery_timeout,
        )
        self.log.info(
            "Job %s (%s) is published as %s; waiting for a worker",
            request.correlation_id,
            request.job_type,
            location,
        )
        now = time.time()
        self.defer(
            trigger=KafkaJobTrigger(
                correlation_id=request.correlation_id,
                kafka_config_id=self.kafka_config_id,
                response_topic=self.response_topic,
                start_offsets=submission.response_offsets,
                submitted_at=now,
                schedule_to_start_timeout=self.schedule_to_start_timeout,
                heartbeat_timeout=self.heartbeat_timeout,
                start_to_close_timeout=self.start_to_close_timeout,
                progress_log_interval=self.progress_log_interval,
                not_before=now + _settle_seconds(),
            ),
            method_name="execute_complete",
            kwargs={"correlation_id": request.correlation_id},
        )

    def execute_complete(
        self,
        context: Context,  # noqa: ARG002  Airflow passes it by position
        event: dict[str, Any],
        correlation_id: str | None = None,
    ) -> Any:
        """Read the job's terminal record and return its result.

        :raises KafkaJobFailed: the worker failed it
        :raises KafkaJobFailedForGood: the worker failed it, and trying again cannot help
        :raises KafkaJobCancelled: it was cancelled
        :raises KafkaJobTimedOut: a waiting rule ended it
        :raises RecordGone: the terminal record is no longer there
        :raises Undecodable: the result is not what its media type says
        """
        from kafka_bridge.airflow.connections import kafka_config
        from kafka_bridge.airflow.outcomes import raise_wait_failure, read_end, result_of

        if "error" in event:
            raise_wait_failure(event)
        location = RecordLocation(self.response_topic, event["partition"], event["offset"])
        config = kafka_config(self.kafka_config_id)
        ended = read_end(config, location, correlation_id, self.delivery_timeout)
        self.log.info("Job %s: %s", ended.correlation_id, ended.state)
        if ended.error is not None and ended.error.details:
            self.log.error("The worker's own details:\n%s", ended.error.details)
        return result_of(ended, location)


def _settle_seconds() -> float:
    """Return how long after its deferral a task must not be resumed.

    The supervisor of the deferring process notices its end within ``min_heartbeat_interval``, the
    scheduler in one of its next loops. Resumed before that, the task is failed by Airflow up to
    3.3.2, which takes the old process's end for the new one's (apache/airflow issues 67287, 72716).
    """
    from airflow.sdk.configuration import conf

    noticed: int = conf.getint("workers", "min_heartbeat_interval", fallback=5)
    return noticed + SCHEDULER_SECONDS


def _seconds(name: str, duration: timedelta | float) -> float:
    try:
        seconds = duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{name} must be a timedelta or seconds, not {duration!r}"
        ) from error
    if not seconds > 0:  # nor is NaN
        raise ConfigurationError(f"{name} must be longer than nothing, not {seconds:g} s")
    if seconds > MAX_SECONDS:
        raise ConfigurationError(f"{name} must be 100 years at most, not {seconds:g} s")
    return seconds


def _limit(name: str, duration: timedelta | float | None) -> float | None:
    return None if duration is None else _seconds(name, duration)


def _encoding(name: str) -> Encoding:
    if name not in _ENCODINGS:
        raise ConfigurationError(f"encoding must be 'avro' or 'json', not {name!r}")
    return Encoding(name)
