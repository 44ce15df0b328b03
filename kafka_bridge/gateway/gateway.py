"""The gateway: the worker that does what the file says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.http.client import ServiceClient
from kafka_bridge.gateway.http.config import HttpJob
from kafka_bridge.gateway.http.job import HttpHandler
from kafka_bridge.worker import Worker


class Gateway:
    """A worker whose job types are those of a file.

    :param kafka: librdkafka's properties, as in :class:`~kafka_bridge.worker.Worker`
    :ivar worker: the worker; its settings may be changed until it runs
    """

    def __init__(self, config: GatewayConfig, *, kafka: Mapping[str, Any] | None = None) -> None:
        self._config = config
        self._clients: dict[str, ServiceClient] = {}
        self.worker = Worker(
            config.group_id,
            kafka=kafka,
            request_topic=config.request_topic,
            dead_letter_topic=config.dead_letter_topic,
            control_topic=config.control_topic,
            concurrency=config.concurrency,
            grace=config.grace,
            max_deliveries=config.max_deliveries,
        )
        for job_type, job in config.jobs.items():
            if isinstance(job, HttpJob):
                self._serve(job_type, job)

    def _serve(self, job_type: str, job: HttpJob) -> None:
        service = self._config.service_of(job)
        client = self._clients.setdefault(job.service or service.url, ServiceClient(service))
        register = self.worker.job(job_type, concurrency=service.concurrency)
        register(HttpHandler(job, client).handle)

    def run(self, *, on_ready: Callable[[], None] = lambda: None) -> None:
        """Do jobs until told to stop; see :meth:`kafka_bridge.worker.Worker.run`."""
        self.worker.run(on_ready=on_ready)
