"""The whole file: services, jobs, and where callbacks arrive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo

from kafka_bridge.gateway.callbacks.config import CallbackConfig
from kafka_bridge.gateway.command.config import CommandJob
from kafka_bridge.gateway.field_types import AtLeastOne, MaybeNoSeconds, Text, TopicName
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
    """Yield what a job needs of the file and is not there. What is wrong itself is not in it."""
    if job.service is not None and job.service not in file.get("services", {job.service}):
        advice = did_you_mean(job.service, file["services"])
        yield Problem(("service",), f"no service of that name, {advice}")
    if job.mode is Mode.CALLBACK and file.get("callbacks", ...) is None:
        yield Problem(("mode",), "callback needs callbacks in the file: public_url and secret")


Job = Annotated[
    Annotated[HttpJob, Tag("(http)")] | Annotated[CommandJob, Tag("(command)")],
    Discriminator(_kind),
    AfterValidator(_fits_file),
]


class GatewayConfig(Strict):
    """What a gateway does.

    :ivar jobs: by job type; they look at what stands before them here
    :ivar group_id: the consumer group that all gateways with this file share
    :ivar concurrency: how many jobs one gateway has in hand at a time
    :ivar max_deliveries: how often a job may be in the hands of gateways that die, until it counts
        as what kills them; many, for a job may outlast many of them
    :ivar grace: seconds that jobs get to finish when the gateway is told to stop; then others go on
        with them
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
    grace: MaybeNoSeconds = 5.0

    def service_of(self, job: HttpJob) -> HttpService:
        """Return the service that does a job: a named one, or what its URL alone makes."""
        if job.service is not None:
            return self.services[job.service]
        assert job.url is not None  # noqa: S101  one of the two is there
        return HttpService(url=job.url)
