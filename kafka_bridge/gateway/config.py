"""The whole file: services, jobs, and where callbacks arrive."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from kafka_bridge.gateway.callbacks.config import Receiver
from kafka_bridge.gateway.command.config import CommandJob
from kafka_bridge.gateway.http.config import HttpJob, Service
from kafka_bridge.gateway.strict import Strict
from kafka_bridge.protocol.topics import CONTROL_TOPIC, DEAD_LETTER_TOPIC, REQUEST_TOPIC


def _kind(job: Any) -> str:
    if isinstance(job, dict):
        return "command" if "command" in job else "http"
    return "command" if isinstance(job, CommandJob) else "http"


Job = Annotated[
    Annotated[HttpJob, Tag("http")] | Annotated[CommandJob, Tag("command")], Discriminator(_kind)
]


class GatewayConfig(Strict):
    """What a gateway does.

    :ivar jobs: by job type
    :ivar group_id: the consumer group that all gateways with this file share
    :ivar concurrency: how many jobs one gateway has in hand at a time
    :ivar max_deliveries: how often a job may be in the hands of gateways that die, until it counts as
        what kills them; many, for a job may outlast many of them
    :ivar grace: seconds that jobs get to finish when the gateway is told to stop; then others go on
        with them
    """

    jobs: Annotated[dict[str, Job], Field(min_length=1)]
    services: dict[str, Service] = Field(default_factory=dict)
    callbacks: Receiver | None = None
    group_id: Annotated[str, Field(min_length=1)] = "kafka-bridge-gateway"
    request_topic: str = REQUEST_TOPIC
    dead_letter_topic: str = DEAD_LETTER_TOPIC
    control_topic: str = CONTROL_TOPIC
    concurrency: Annotated[int, Field(ge=1)] = 10_000
    max_deliveries: Annotated[int, Field(ge=1)] = 100
    grace: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0

    def service_of(self, job: HttpJob) -> Service:
        """Return the service that does a job: a named one, or what its URL alone makes."""
        if job.service is not None:
            return self.services[job.service]
        assert job.url is not None  # noqa: S101  one of the two is there
        return Service(url=job.url)
