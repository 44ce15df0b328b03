"""One run of a worker: signals, monitoring, the wait for brokers, then the service."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

from kafka_bridge.kafka.admin.topics import TopicNames
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import BrokerUnreachable
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.middleware import Middleware
from kafka_bridge.worker.monitoring.job_log import JobLog
from kafka_bridge.worker.monitoring.observer import MetricSource, Observer, WorkerStatus
from kafka_bridge.worker.monitoring.serving import monitored
from kafka_bridge.worker.runtime.collector import start_left_out
from kafka_bridge.worker.runtime.event_loop import event_loop
from kafka_bridge.worker.runtime.log_capture import capturing
from kafka_bridge.worker.runtime.preflight import permissions_check, wait_for_brokers
from kafka_bridge.worker.runtime.service import Service
from kafka_bridge.worker.runtime.signals import stop_on_signals
from kafka_bridge.worker.runtime.surroundings import Surroundings
from kafka_bridge.worker.settings import WorkerSettings

_log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""The pause before another attempt to start, after brokers became silent during the start."""
STARTING = WorkerStatus()

Life: TypeAlias = Callable[[asyncio.AbstractEventLoop], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker runs.

    :param settings: with a ``worker_id``
    :param handlers: by job type
    :param kafka: how to reach the brokers
    :param servers_from: what sets the brokers' addresses, for the log
    :param callback_topic: the topic of a gateway's callbacks; None for other workers
    :param metric_sources: other sources of metrics, served together with the worker's own
    :param lifespan: gets the event loop. Entered when a broker has answered, before the worker
        consumes; exited after its last job. If it raises BrokerUnreachable at the start, it is
        entered again
    :param middlewares: around each job, the outermost first
    """

    settings: WorkerSettings
    handlers: Mapping[str, Handler]
    kafka: KafkaConfig
    servers_from: str
    callback_topic: str | None = None
    metric_sources: Sequence[MetricSource] = ()
    lifespan: Life = contextlib.nullcontext
    middlewares: tuple[Middleware, ...] = ()

    @property
    def topics(self) -> TopicNames:
        """The topics that the worker uses."""
        return TopicNames(
            self.settings.request_topic,
            self.settings.response_topic,
            self.settings.control_topic,
            self.settings.dead_letter_topic,
            self.callback_topic,
        )


class WorkerRun:
    """Runs a worker once.

    :param on_ready: called once, when the first partitions are assigned
    :param stopping: set when the worker has to stop
    """

    def __init__(
        self, spec: WorkerSpec, on_ready: Callable[[], None], stopping: threading.Event
    ) -> None:
        self._spec = spec
        self._on_ready = on_ready
        self._stopping = stopping
        self._service: Service | None = None

    def run(self) -> None:
        """Run jobs until the worker is told to stop, then finish the running ones.

        :raises ConfigurationError: a Kafka property is not possible, or the port is taken
        :raises KafkaError: Kafka cannot be used, and waiting would not help
        """
        spec, settings = self._spec, self._spec.settings
        monitoring = monitored(
            self._status,
            spec.handlers,
            settings.metrics_port,
            settings.metrics_host,
            spec.metric_sources,
        )
        stops = stop_on_signals(self._stopping, settings.grace)
        with stops, start_left_out(), monitoring as observer:
            observer.job_log = JobLog(settings.job_log)
            wait_for_brokers(spec.kafka, spec.servers_from, self._stopping)
            with (
                permissions_check(spec.kafka, spec.topics, settings.group_id),
                capturing(spec.handlers),
            ):
                self._serve(observer)

    def _status(self) -> WorkerStatus:
        return STARTING if self._service is None else self._service.status

    def _serve(self, observer: Observer) -> None:
        """Run the service; start it again where the brokers become silent before it has joined."""
        while not self._stopping.is_set():
            service = None
            try:
                with event_loop() as loop, self._spec.lifespan(loop) as state:
                    service = self._service = Service(
                        self._spec.settings,
                        self._spec.handlers,
                        self._spec.kafka,
                        on_ready=self._on_ready,
                        stopping=self._stopping,
                        surroundings=Surroundings(loop, state, self._spec.middlewares),
                    )
                    service.run(observer)
            except BrokerUnreachable as error:
                if service is not None and service.has_joined:
                    raise
                _log.warning("The worker could not start; trying again: %s", error)
                self._stopping.wait(RETRY_SECONDS)
            else:
                return
