"""The operator that publishes a job and does not wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kafka_bridge.airflow import arguments
from kafka_bridge.airflow.base import BridgeOperator
from kafka_bridge.airflow.handles import JobHandle
from kafka_bridge.airflow.links import JobLink
from kafka_bridge.airflow.settings import CONFIGURED, Setting
from kafka_bridge.airflow.specs import JobSpec, OnRetry

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from kafka_bridge.airflow.arguments import Duration
    from kafka_bridge.airflow.submit.attempts import Attempts
    from kafka_bridge.airflow.submit.stored_job import StoredJob


class KafkaJobPublishOperator(BridgeOperator):
    """Hands a job to a service over Kafka, and is done once the brokers have the request.

    Its XCom is a handle, a small JSON object. :class:`KafkaJobSensor` waits for the job, in this
    DAG or in another one. The arguments that all operators share are those of
    :class:`BridgeOperator`.

    :param job_type: what the service is to do, a dotted name such as ``files.audit`` (templated)
    :param payload: what it needs for that: a dictionary, dataclass, pydantic model, anything with a
        JSON form, or bytes (templated)
    :param payload_model: a pydantic model, dataclass or other type; a payload that does not fit it
        fails the task before anything is sent
    :param request_topic: where the service takes its jobs from (templated)
    :param response_topic: where it answers (templated)
    :param heartbeat_interval: how often the worker must at least speak, a timedelta or seconds
    :param reply: ``"plain"`` for a stock request-reply service (Spring's ``@SendTo``, NestJS): it
        gets the payload itself, as JSON, and what it answers is the result. Needs
        ``encoding="json"``. There is no progress, no heartbeat and no cancel then: the reply must
        come within both time-outs together
    :param on_retry: ``"reattach"``: a retry goes on with the job of the earlier try unless that has
        failed; ``"resubmit"``: it cancels that and submits another. Clearing a task always does.
    :raises ConfigurationError: a value makes no sense
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
    operator_extra_links = (JobLink(),)
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_type = job_type
        self.payload = payload
        self.payload_model = payload_model
        self.request_topic = arguments.text("request_topic", request_topic)
        self.response_topic = arguments.text("response_topic", response_topic)
        self.heartbeat_interval = arguments.seconds("heartbeat_interval", heartbeat_interval)
        self.reply = arguments.reply(reply, self.encoding)
        self.on_retry = OnRetry(arguments.choice("on_retry", on_retry, tuple(OnRetry)))
        self.job: dict[str, Any] | None = None
        arguments.require_storable_fields(self)

    def execute(self, context: Context) -> Any:
        """Publish the job request and return the job's handle.

        :raises InvalidPayload: the payload does not fit its model
        :raises PayloadNotSerialisable: the payload has no JSON form
        :raises KafkaError: a topic is missing, or the brokers did not take the request
        """
        job = self.handle_of(self.attempts(context, renew_ended=False).begin().job)
        self.job = job.to_json()
        return self.job

    def attempts(self, context: Context, *, renew_ended: bool) -> Attempts:
        """Return the jobs of this task instance.

        :param renew_ended: a retry submits another job where the last one ended without success
        """
        # Not at the top: a DAG file that imports the operator would load the Kafka client.
        from kafka_bridge.airflow.submit.attempts import Attempts

        return Attempts(
            self.spec(),
            self.kafka,
            context["task_state_store"],
            context["ti"],
            self.log,
            renew_ended=renew_ended,
            on_job=self._set_in_flight,
        )

    def spec(self) -> JobSpec:
        """Return what this task submits; call it once the templates are rendered."""
        return JobSpec(
            job_type=self.job_type,
            payload=self.payload,
            payload_model=self.payload_model,
            kafka_config_id=self.kafka_config_id,
            request_topic=self.request_topic,
            response_topic=self.response_topic,
            control_topic=self.control_topic,
            encoding=self.encoding,
            reply=self.reply,
            heartbeat_interval=self.heartbeat_interval,
            schedule_to_start_timeout=self.schedule_to_start_timeout,
            start_to_close_timeout=self.start_to_close_timeout,
            broker_timeout=self.broker_timeout,
            on_retry=self.on_retry,
        )

    def _set_in_flight(self, correlation_id: str) -> None:
        self.in_flight = correlation_id

    def handle_of(self, job: StoredJob) -> JobHandle:
        """Return the handle of a job that this task has published."""
        return JobHandle(
            job.correlation_id,
            job.attempt,
            self.job_type,
            self.kafka_config_id,
            job.request_topic,
            job.response_topic,
            job.response_offsets,
            job.submitted_at,
            self.reply,
        )
