"""The operators for one job: publish it, or publish it and wait for its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kafka_bridge.airflow import arguments
from kafka_bridge.airflow.base import BridgeOperator
from kafka_bridge.airflow.exceptions import KafkaJobKilled, without_frames
from kafka_bridge.airflow.handles import JobHandle
from kafka_bridge.airflow.links import JobLink
from kafka_bridge.airflow.settings import CONFIGURED, Setting
from kafka_bridge.airflow.specs import JobSpec, OnRetry, Reply, WaitSpec
from kafka_bridge.airflow.waiting_operator import WaitingOperator
from kafka_bridge.protocol.errors import ConfigurationError, JobCancelled, JobError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink
    from airflow.sdk.definitions.context import Context

    from kafka_bridge.airflow.arguments import Duration
    from kafka_bridge.airflow.submit.attempts import Attempts, Begun
    from kafka_bridge.airflow.triggerer.job_wait import JobWait


class KafkaJobPublishOperator(BridgeOperator):
    """Publishes a job request, and succeeds once the brokers have acknowledged it.

    Its XCom is the job's handle, a small JSON object. :class:`KafkaJobSensor` waits for the job, in
    this DAG or in another one. A parameter with the default CONFIGURED takes its value from the
    section ``[kafka_bridge]`` of Airflow's configuration.

    :param job_type: what the service does, a dotted name such as ``files.audit`` (templated)
    :param payload: the job's input: a dictionary, dataclass, pydantic model, anything else with a
        JSON form, or bytes (templated)
    :param payload_model: a pydantic model, dataclass or other type; a payload that does not match
        it fails the task before anything is published
    :param request_topic: the topic from which the service reads its jobs (templated)
    :param response_topic: the topic to which the service publishes its events (templated)
    :param heartbeat_interval: the longest time between two heartbeats of the job's worker, a
        timedelta or seconds
    :param reply: ``"plain"`` for a request-reply service that does not use the protocol (Spring's
        ``@SendTo``, NestJS): the payload itself is published, as JSON, and the service's answer is
        the result. There is no
        progress, no heartbeat and no cancel, and the reply must come within the sum of both
        timeouts
    :param on_retry: ``"reattach"``: a retry waits for the job of the earlier try, unless that job
        has failed. ``"resubmit"``: a retry cancels that job and submits another one. A cleared task
        always submits another one
    :param kafka_config_id: the Airflow connection
    :param control_topic: the topic to which CANCEL is published (templated)
    :param encoding: ``"avro"`` or ``"json"``; the service answers in the same encoding.
        ``reply="plain"`` implies ``"json"``
    :param schedule_to_start_timeout: how long the job may wait for a worker, a timedelta or
        seconds; None: forever
    :param start_to_close_timeout: how long the job may run; None: as long as its worker is alive
    :param schedule_to_close_timeout: how long the job may take in all, from its task's first
        submission on, with the jobs of all retries. After that it is not retried. Clearing the task
        begins this time again. None: no limit
    :param broker_timeout: how long the brokers may take for each look-up and each publish
    :param cancel_on_kill: cancel the job when its task is marked failed or succeeded, cleared or
        killed, and when a timeout ends the wait
    :raises ConfigurationError: an argument is invalid
    """

    template_fields: Sequence[str] = (
        "job_type",
        "payload",
        "request_topic",
        "response_topic",
        "control_topic",
        "job",
    )
    template_fields_renderers = {"payload": "json", "job": "json"}  # noqa: RUF012  Airflow's form
    overwrite_rtif_after_execution = True  # so that the rendered view shows the job
    ui_color = "#e8f0e4"

    def __init__(
        self,
        *,
        job_type: str,
        payload: Any = None,
        payload_model: Any = None,
        request_topic: str | Setting = CONFIGURED,
        response_topic: str | Setting = CONFIGURED,
        heartbeat_interval: Duration | Setting = CONFIGURED,
        reply: str = "events",
        on_retry: str = "reattach",
        kafka_config_id: str | Setting = CONFIGURED,
        control_topic: str | Setting = CONFIGURED,
        encoding: str | Setting = CONFIGURED,
        schedule_to_start_timeout: Duration | Setting | None = CONFIGURED,
        start_to_close_timeout: Duration | Setting | None = CONFIGURED,
        schedule_to_close_timeout: Duration | Setting | None = CONFIGURED,
        broker_timeout: Duration = 30.0,
        cancel_on_kill: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kafka_config_id=kafka_config_id,
            control_topic=control_topic,
            encoding=encoding,
            reply=reply,
            schedule_to_start_timeout=schedule_to_start_timeout,
            start_to_close_timeout=start_to_close_timeout,
            schedule_to_close_timeout=schedule_to_close_timeout,
            broker_timeout=broker_timeout,
            cancel_on_kill=cancel_on_kill,
            **kwargs,
        )
        self.job_type = job_type
        self.payload = payload
        self.payload_model = payload_model
        self.request_topic = arguments.text("request_topic", request_topic)
        self.response_topic = arguments.text("response_topic", response_topic)
        self.heartbeat_interval = arguments.seconds("heartbeat_interval", heartbeat_interval)
        self.on_retry = OnRetry(arguments.choice("on_retry", on_retry, tuple(OnRetry)))
        self.job: dict[str, Any] | None = None
        arguments.require_storable_fields(self)

    @property
    def operator_extra_links(self) -> tuple[BaseOperatorLink, ...]:  # type: ignore[override]
        """The link to the board, or to another page that is configured."""
        return JobLink.where_configured()

    @property
    def spec(self) -> JobSpec:
        """What this task submits; its templates must be rendered."""
        return JobSpec.of(self)

    def execute(self, context: Context) -> Any:
        """Publish the job request and return the job's handle.

        :raises InvalidPayload: the payload does not match its model
        :raises PayloadNotSerialisable: the payload has no JSON form
        :raises KafkaError: a topic is missing, or the brokers did not accept the request
        :raises KafkaJobTimedOutNonRetryable: a retry has no time left for another job
        """
        job = self.attempts(context).begin().job
        self.job = job.described()
        return job.to_json()

    def attempts(
        self, context: Context, wait_spec: Callable[[JobHandle], WaitSpec] | None = None
    ) -> Attempts:
        """Return the jobs of this task instance.

        :param wait_spec: returns how this task waits for a job, if it does
        """
        # Not at the top: a DAG file that imports the operator would load the Kafka client.
        from kafka_bridge.airflow.submit.attempts import Attempts  # noqa: PLC0415

        return Attempts(
            self.spec,
            self.kafka,
            context,
            self.log,
            wait_spec=wait_spec,
            on_job=self._set_in_flight,
        )

    def _set_in_flight(self, correlation_id: str) -> None:
        self.in_flight = correlation_id


class KafkaJobOperator(WaitingOperator, KafkaJobPublishOperator):
    """Publishes a job request, waits for the job without a worker slot, and returns its result.

    The result is the task's XCom. A failed job fails the task with the worker's own type, message
    and details; a non-retryable error fails it without retries. The parameters that are not listed
    here are those of :class:`KafkaJobPublishOperator`.

    :param heartbeat_timeout: without any event for this long, the worker counts as lost. It must be
        longer than Kafka needs to move a dead worker's job to another one (the session timeout,
        30 s by default)
    :param progress_timeout: the job may report nothing new for this long: no other progress, no
        other message. Then the task cancels it and fails. Heartbeats do not count: they prove that
        the worker's process lives, not that the job gets on. None: no limit
    :param progress_log_interval: the shortest time between two progress lines in the task's log
    :param result_handler: called with the result; the task's XCom is what it returns. If it fails,
        a retry calls it again and does not run the job again
    :param deferrable: wait in a triggerer, which holds no worker slot; False: wait in the task's
        own process. None: what ``[operators] default_deferrable`` says
    :param wait_before_deferring: how long a deferrable task waits for its job in its own process,
        before it defers, a timedelta or seconds; 0: it defers at once. With
        ``end_from_trigger=True`` it is 0
    :param end_from_trigger: finish the task of a successful job in the triggerer, without starting
        a worker for it; implies ``deferrable=True``. Not together with arguments that need a
        worker. Airflow stores such a result as JSON text: the task that pulls it must parse it
    :raises ConfigurationError: an argument is invalid, or contradicts another one
    """

    def __init__(
        self,
        *,
        job_type: str,
        payload: Any = None,
        payload_model: Any = None,
        request_topic: str | Setting = CONFIGURED,
        response_topic: str | Setting = CONFIGURED,
        heartbeat_interval: Duration | Setting = CONFIGURED,
        heartbeat_timeout: Duration | Setting = CONFIGURED,
        schedule_to_start_timeout: Duration | Setting | None = CONFIGURED,
        start_to_close_timeout: Duration | Setting | None = CONFIGURED,
        schedule_to_close_timeout: Duration | Setting | None = CONFIGURED,
        progress_timeout: Duration | None = None,
        reply: str = "events",
        on_retry: str = "reattach",
        result_handler: Callable[[Any], Any] | None = None,
        progress_log_interval: Duration = 5.0,
        deferrable: bool | None = None,
        wait_before_deferring: Duration | Setting = CONFIGURED,
        end_from_trigger: bool = False,
        cancel_on_kill: bool = True,
        kafka_config_id: str | Setting = CONFIGURED,
        control_topic: str | Setting = CONFIGURED,
        encoding: str | Setting = CONFIGURED,
        broker_timeout: Duration = 30.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**arguments.own(locals()), **kwargs)
        arguments.require_longer(self.heartbeat_timeout, self.heartbeat_interval)

    def execute(self, context: Context) -> Any:
        """Publish the job request and wait for the job's end.

        :raises InvalidPayload: the payload does not match its model
        :raises PayloadNotSerialisable: the payload has no JSON form
        :raises KafkaError: a topic is missing, or the brokers did not accept the request
        """
        try:
            return self._wait_for(context, self.attempts(context, self.wait_spec).begin())
        except JobError as error:
            raise without_frames(error) from None

    def execute_complete(
        self,
        context: Context,
        event: dict[str, Any],
        job: dict[str, Any] | None = None,
        *,
        wait: JobWait | None = None,
    ) -> Any:
        """Return the result of the job, or raise its error.

        If a job of an earlier try was cancelled, the task was cleared while the job ran, and
        another job is submitted.

        :raises KafkaJobKilled: the job was cancelled because this process was killed
        :raises JobError: otherwise as :meth:`WaitingOperator.execute_complete`
        """
        handle = JobHandle.from_json(job) if job else self.known_job(context)
        self.job = handle.described()
        try:
            return super().execute_complete(context, event, handle.to_json(), wait=wait)
        except JobCancelled as error:
            return self._after_cancelled(context, handle, error)
        except JobError as error:
            raise without_frames(error) from None

    def what_needs_a_worker(self) -> dict[str, bool]:
        """Return what only a worker can do, by name, and whether it is asked for."""
        return {
            **super().what_needs_a_worker(),
            "reply='plain'": self.reply is Reply.PLAIN,
        }

    def known_job(self, context: Context) -> JobHandle:
        """Return the handle of the job that this task has submitted last, as Kafka knows it.

        :raises ConfigurationError: the request topic has no request of this task
        """
        job = self.attempts(context).last()
        if job is None:
            raise ConfigurationError(
                f"topic {self.request_topic!r} has no request of this resumed task: clear the task "
                "to submit another job"
            )
        return job

    def _after_cancelled(self, context: Context, job: JobHandle, error: JobCancelled) -> Any:
        if self.killed:
            raise KafkaJobKilled(str(error)) from None
        if job.try_number == context["ti"].try_number:
            self.log.error("Job %s is not retried: it was cancelled", job.correlation_id)
            raise without_frames(error) from None
        self.make_payload(context)
        why = "it was cancelled"
        return self._wait_for(context, self.attempts(context).renew(job, why, cancel=False))

    def make_payload(self, context: Context) -> None:
        """Set the payload before a resumed task submits another job. Here, rendering has set it."""

    def _wait_for(self, context: Context, begun: Begun) -> Any:
        self.job = begun.job.described()
        if begun.end is None:
            return self.wait_for(context, begun.job)
        event = {"state": begun.end.state.value, **asdict(begun.end.location)}
        return self.execute_complete(context, event, begun.job.to_json())
