"""The gateway: a worker whose handlers run jobs as the file configures them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from kafka_bridge.gateway.callbacks.channel import CallbackChannel
from kafka_bridge.gateway.command.handler import CommandHandler
from kafka_bridge.gateway.command.program import STARTING
from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.http.client import ServiceClient
from kafka_bridge.gateway.http.config import HttpJob, Mode
from kafka_bridge.gateway.http.handler import HttpHandler
from kafka_bridge.gateway.mask import Mask
from kafka_bridge.gateway.metrics import CallbackCounter, UnknownStateCounter
from kafka_bridge.gateway.secret import secrets_in
from kafka_bridge.worker import Worker

JOBS_PER_SLOT = 2
"""How many jobs of a type are accepted for each slot of its service. One runs at the service. The
other waits for the slot, which the task's log shows, and follows without a pause. More jobs would
count as running long before they run; they stay queued and do not delay other services."""


class Gateway:
    """A worker with the job types of a file.

    :param kafka: librdkafka's properties, as in :class:`~kafka_bridge.worker.Worker`
    :ivar worker: the worker; its settings can be changed before it runs
    """

    def __init__(self, config: GatewayConfig, *, kafka: Mapping[str, Any] | None = None) -> None:
        self._config = config
        self._clients: dict[str, ServiceClient] = {}
        self._mask = Mask(*secrets_in(config))
        self.worker = Worker(
            config.group_id,
            kafka=kafka,
            request_topic=config.request_topic,
            dead_letter_topic=config.dead_letter_topic,
            control_topic=config.control_topic,
            concurrency=config.concurrency,
            grace=config.grace,
            max_deliveries=config.max_deliveries,
            forward_logs="OFF",  # libraries log addresses and headers; programs report their lines
        )
        self._channel = _channel(config)
        starting = asyncio.Semaphore(STARTING)
        self._callback_counts = CallbackCounter()
        self._unknown_states = UnknownStateCounter()
        self.worker.metric_sources.append(self._unknown_states)
        if config.callbacks is not None and self._channel is not None:
            self.worker.callback_topic = config.callbacks.topic
            self.worker.metric_sources.append(self._callback_counts)
        for job_type, job in config.jobs.items():
            if isinstance(job, HttpJob):
                self._serve(job_type, job)
            else:
                register = self.worker.job(job_type, concurrency=job.concurrency)
                register(CommandHandler(job, starting).handle)

    def _serve(self, job_type: str, job: HttpJob) -> None:
        service = self._config.service_of(job)
        client = self._clients.setdefault(job.service or service.url, ServiceClient(service))
        slots = service.concurrency
        register = self.worker.job(
            job_type, concurrency=None if slots is None else slots * JOBS_PER_SLOT
        )
        handler = HttpHandler(job, client, self._channel, self._unknown_states.count)
        register(handler.handle)

    def masked(self, text: str) -> str:
        """Return a text in which the secrets of the file and its services are masked."""
        for mask in (*(client.mask for client in self._clients.values()), self._mask):
            text = mask.text(text)
        return text

    def run(
        self, *, on_ready: Callable[[], None] = lambda: None, configure_logging: bool = True
    ) -> None:
        """Run until stopped; see :meth:`kafka_bridge.worker.Worker.run`.

        :raises ConfigurationError: the port for callbacks cannot be opened, or Kafka is not
            configured
        :raises KafkaError: Kafka cannot be used, and waiting would not help
        :raises RuntimeError: the callback server stopped unexpectedly
        """
        if self._channel is not None:  # not before: run_job() has no callbacks
            self.worker.lifespan.context = partial(self._receive_callbacks, self._channel)
        self.worker.run(on_ready=on_ready, configure_logging=configure_logging)

    def _receive_callbacks(
        self, channel: CallbackChannel, _worker: Worker
    ) -> AbstractContextManager[int]:
        return channel.open(
            self.worker.kafka_config(), self._callback_counts.count, self.worker.stop
        )


def _channel(config: GatewayConfig) -> CallbackChannel | None:
    jobs = {
        job_type: job
        for job_type, job in config.jobs.items()
        if isinstance(job, HttpJob) and job.mode is Mode.CALLBACK
    }
    if config.callbacks is None or not jobs:
        return None
    return CallbackChannel(config.callbacks, jobs)
