"""The worker: takes jobs from a request topic and answers on each job's response topic."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, fields
from typing import Any, ParamSpec, TypeVar

from kafka_bridge.kafka.admin.topics import TopicNames
from kafka_bridge.kafka.config import ENV_BOOTSTRAP, KafkaConfig
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.environment import unused_variables
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.monitoring.job_log import JobLog
from kafka_bridge.worker.monitoring.observer import MetricSource
from kafka_bridge.worker.monitoring.serving import watched
from kafka_bridge.worker.retries import Backoff, RetryPolicy
from kafka_bridge.worker.runtime.preflight import preflight
from kafka_bridge.worker.runtime.service import Service
from kafka_bridge.worker.settings import WorkerSettings

_log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


class Worker:
    """A service's side of the bridge: one consumer group, one request topic, some job types.

    ::

        worker = Worker(group_id="file-auditors")

        @worker.job("files.audit")
        def audit(job: JobContext, payload: AuditRequest) -> AuditReport:
            job.progress(3, total=10, unit="files")
            return AuditReport(...)

        worker.run()    # or: kafka-bridge worker run my_module:worker

    What is not given is taken from the environment, and where that is silent, too, a default
    applies: :data:`~kafka_bridge.worker.settings.VARIABLES` has the names.

    :param group_id: the consumer group that all processes of this service share; required
    :param kafka: librdkafka's properties; by default those of the environment
        (``KAFKA_BRIDGE_BOOTSTRAP_SERVERS``, ``KAFKA_BRIDGE_KAFKA_…``)
    :param request_topic: where this service's jobs come from; ``jobs.requests`` by default
    :param dead_letter_topic: where requests go that cannot be read, answered or finished;
        ``jobs.dead-letters`` by default
    :param control_topic: where commands come from; all of it is read, from its beginning;
        ``jobs.control`` by default
    :param concurrency: how many jobs run at a time in this process; 1 by default
    :param grace: seconds that running jobs get to finish when the worker is told to stop; 30 by
        default
    :param max_deliveries: how often a job may be begun by workers that die before it ends, until it
        counts as what kills them; 5 by default
    :param worker_id: this process's name in events; by default hostname, process id and a random
        suffix
    :param metrics_port: where metrics and health are served; by default nowhere, 0: where a port is
        free
    :param metrics_host: the address that they are served on; all of this host's by default
    :param response_topic: where jobs are answered as a rule, ``jobs.responses`` by default: each
        request names its own, but the rights on this one are checked when the worker starts, and
        are waited for where they are missing
    :param job_log: whether the start and the end of each job are logged; they are by default
    :ivar callback_topic: where a gateway keeps callbacks; its rights are checked, too
    :ivar metric_sources: what else is shown among the metrics, besides the worker
    :raises ConfigurationError: a value makes no sense
    """

    def __init__(
        self,
        group_id: str | None = None,
        *,
        kafka: Mapping[str, Any] | None = None,
        request_topic: str | None = None,
        dead_letter_topic: str | None = None,
        control_topic: str | None = None,
        concurrency: int | None = None,
        grace: float | None = None,
        max_deliveries: int | None = None,
        worker_id: str | None = None,
        metrics_port: int | None = None,
        metrics_host: str | None = None,
        response_topic: str | None = None,
        job_log: bool | None = None,
    ) -> None:
        settings = WorkerSettings.given(
            {
                "group_id": group_id,
                "request_topic": request_topic,
                "dead_letter_topic": dead_letter_topic,
                "control_topic": control_topic,
                "concurrency": concurrency,
                "grace": grace,
                "max_deliveries": max_deliveries,
                "worker_id": worker_id,
                "metrics_port": metrics_port,
                "metrics_host": metrics_host,
                "response_topic": response_topic,
                "job_log": job_log,
            }
        )
        self.group_id = settings.group_id
        self.request_topic = settings.request_topic
        self.dead_letter_topic = settings.dead_letter_topic
        self.control_topic = settings.control_topic
        self.concurrency = settings.concurrency
        self.grace = settings.grace
        self.max_deliveries = settings.max_deliveries
        self.worker_id = settings.worker_id or _default_worker_id()
        self.metrics_port = settings.metrics_port
        self.metrics_host = settings.metrics_host
        self.response_topic = settings.response_topic
        self.job_log = settings.job_log
        self.callback_topic: str | None = None
        self.metric_sources: list[MetricSource] = []
        self.handlers: dict[str, Handler] = {}
        self._stopping = threading.Event()
        self._kafka = kafka

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Worker:
        """Return a worker as the environment sets it, group and brokers included.

        ``KAFKA_BRIDGE_GROUP_ID`` is required; :data:`~kafka_bridge.worker.settings.VARIABLES` has
        the others. Kafka's own are as in :class:`Worker`.

        :param environ: the process's own by default
        :raises ConfigurationError: one is missing, is no number or makes no sense
        """
        settings = WorkerSettings.from_env(environ)
        worker = cls(kafka=KafkaConfig.from_env(environ).settings, **asdict(settings))
        worker.metrics_port = (
            settings.metrics_port
        )  # None is not given: the process's own was taken
        worker.worker_id = settings.worker_id or _default_worker_id()
        return worker

    def job(
        self,
        job_type: str,
        *,
        retries: int = 0,
        backoff: Backoff | None = None,
        non_retryable: tuple[type[Exception], ...] = (),
        concurrency: int | None = None,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Make the decorated function, sync or async, the handler of a job type.

        It takes the :class:`JobContext` and, where it has a second parameter, the payload: as what
        that parameter's annotation says (a pydantic model, a dataclass, ``dict``, ``bytes`` …).
        What it returns is the task's result.

        :param retries: how often it is called again, in this worker, after it raised an exception
        :param backoff: how long to wait before that; by default 1 s, 2 s, 4 s … up to a minute,
            and up to a second more at random
        :param non_retryable: exceptions after which it is not called again
        :param concurrency: how many jobs of this type run at a time in this process, within the
            worker's own limit
        :raises ConfigurationError: the type has a handler, the signature is another, or a number
            makes no sense
        """
        retry = RetryPolicy(retries, backoff or Backoff(), non_retryable)

        def register(function: Callable[P, R]) -> Callable[P, R]:
            if job_type in self.handlers:
                raise ConfigurationError(f"job type {job_type!r} has a handler already")
            self.handlers[job_type] = Handler.of(job_type, function, retry, concurrency)
            return function

        return register

    def kafka_config(self) -> KafkaConfig:
        """Return how this worker reaches Kafka.

        :raises ConfigurationError: no brokers are named, here or in the environment
        """
        return KafkaConfig(self._kafka) if self._kafka is not None else KafkaConfig.from_env()

    def settings(self) -> WorkerSettings:
        """Return what this worker is set to now.

        :raises ConfigurationError: the program has set something that makes no sense
        """
        return WorkerSettings(
            **{field.name: getattr(self, field.name) for field in fields(WorkerSettings)}
        )

    def run(self, *, on_ready: Callable[[], None] = lambda: None) -> None:
        """Take and do jobs until SIGTERM, SIGINT or :meth:`stop`, then finish those at hand.

        Running jobs get ``grace`` seconds; what is not finished then is handed back, and delivered
        again to another worker. A second signal stops at once. Signals are heard where this is the
        process's main thread; on another one, only :meth:`stop` ends it.

        :param on_ready: called once, when the first partitions are assigned
        :raises ConfigurationError: no handler is registered, or Kafka is not configured
        :raises KafkaError: Kafka cannot be used, and waiting would not help
        """
        if not self.handlers:
            raise ConfigurationError("the worker has no handler: decorate one with @worker.job(…)")
        for unused in unused_variables(self.settings(), self._kafka, os.environ):
            _log.warning("%s", unused)
        service = Service(
            self.settings(),
            self.handlers,
            self.kafka_config(),
            on_ready=on_ready,
            stopping=self._stopping,
        )
        watching = watched(
            lambda: service.status,
            self.handlers,
            self.metrics_port,
            self.metrics_host,
            self.metric_sources,
        )
        try:
            with self._preflight(), watching as observer:
                observer.job_log = JobLog(self.job_log)
                service.run(observer)
        finally:
            self._stopping.clear()

    def _preflight(self) -> AbstractContextManager[None]:
        topics = TopicNames(
            self.request_topic,
            self.response_topic,
            self.control_topic,
            self.dead_letter_topic,
            self.callback_topic,
        )
        given = self._kafka or {}
        is_given = "bootstrap.servers" in given
        is_same = given.get("bootstrap.servers") == os.environ.get(ENV_BOOTSTRAP)
        source = "kafka=… in the program" if is_given and not is_same else ENV_BOOTSTRAP
        return preflight(self.kafka_config(), topics, self.group_id, source)

    def stop(self) -> None:
        """Have :meth:`run` do what it does on SIGTERM; return at once. Any thread may call this.

        Where the worker does not run yet, it stops as soon as it does.
        """
        self._stopping.set()


def _default_worker_id() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
