"""The top level of the gateway's file: services, jobs, callbacks, topics and limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo

from kafka_bridge.gateway.callbacks.config import CallbackConfig
from kafka_bridge.gateway.command.config import CommandJob
from kafka_bridge.gateway.field_types import AtLeastOne, SecondsOrZero, Text, TopicName
from kafka_bridge.gateway.http.config import HttpJob, Mode
from kafka_bridge.gateway.http.service_config import HttpService
from kafka_bridge.gateway.strict_model import Problem, Strict, did_you_mean, refuse
from kafka_bridge.protocol.topics import CONTROL_TOPIC, DEAD_LETTER_TOPIC, REQUEST_TOPIC


def _kind(job: Any) -> str:
    is_command = "command" in job if isinstance(job, dict) else isinstance(job, CommandJob)
    return "(command)" if is_command else "(http)"


def _fits_file(job: HttpJob | CommandJob, info: ValidationInfo) -> HttpJob | CommandJob:
    if isinstance(job, HttpJob):
        refuse("job", _misfits(job, info.data))
    return job


def _misfits(job: HttpJob, file: dict[str, Any]) -> Iterator[Problem]:
    """Yield what a job refers to and the file does not contain.

    Invalid parts of the file are missing in ``file``; they have errors of their own.
    """
    if job.service is not None and job.service not in file.get("services", {job.service}):
        advice = did_you_mean(job.service, file["services"])
        yield Problem(("service",), f"there is no service with this name, {advice}")
    if job.mode is Mode.CALLBACK and file.get("callbacks", ...) is None:
        yield Problem(
            ("mode",), "mode callback needs callbacks.public_url and callbacks.secret in the file"
        )


Job = Annotated[
    Annotated[HttpJob, Tag("(http)")] | Annotated[CommandJob, Tag("(command)")],
    Discriminator(_kind),
    AfterValidator(_fits_file),
]


class GatewayConfig(Strict):
    """The configuration of a gateway.

    :ivar jobs: by job type. They are checked against ``services`` and ``callbacks``, which must
        therefore be declared before them
    :ivar group_id: the consumer group that all gateways with this file share
    :ivar concurrency: the number of jobs that are in flight in one gateway
    :ivar max_deliveries: the number of deliveries after which a job fails, because it may be the
        cause of crashes. The number is high because a long job may outlive many restarts
    :ivar grace: the seconds that jobs have to finish when the gateway stops; afterwards other
        gateways take over
    """

    services: dict[Text, HttpService] = Field(default_factory=dict)
    callbacks: CallbackConfig | None = None
    jobs: Annotated[dict[Text, Job], Field(min_length=1)]
    group_id: Text = "kafka-bridge-gateway"
    request_topic: TopicName = REQUEST_TOPIC
    dead_letter_topic: TopicName = DEAD_LETTER_TOPIC
    control_topic: TopicName = CONTROL_TOPIC
    concurrency: AtLeastOne = 10_000
    max_deliveries: AtLeastOne = 100
    grace: SecondsOrZero = 5.0

    def service_of(self, job: HttpJob) -> HttpService:
        """Return the service of a job: the named one, or one with default settings for its URL."""
        if job.service is not None:
            return self.services[job.service]
        assert job.url is not None  # noqa: S101  one of the two is set
        return HttpService(url=job.url)
