"""The worker: takes jobs from a request topic and answers on each job's response topic."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.topics import CONTROL_TOPIC, DEAD_LETTER_TOPIC, REQUEST_TOPIC
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.observation import Observer
from kafka_bridge.worker.retries import Backoff, RetryPolicy
from kafka_bridge.worker.service import Service

P = ParamSpec("P")
R = TypeVar("R")

GRACE_SECONDS = 30.0
MAX_DELIVERIES = 5


class Worker:
    """A service's side of the bridge: one consumer group, one request topic, some job types.

    ::

        worker = Worker(group_id="file-auditors")

        @worker.job("files.audit")
        def audit(job: JobContext, payload: AuditRequest) -> AuditReport:
            job.progress(3, total=10, unit="files")
            return AuditReport(...)

        worker.run()    # or: kafka-bridge worker run my_module:worker

    :param group_id: the consumer group that all processes of this service share
    :param kafka: librdkafka's properties; by default those of the environment
        (``KAFKA_BRIDGE_BOOTSTRAP_SERVERS``, ``KAFKA_BRIDGE_KAFKA_…``)
    :param request_topic: where this service's jobs come from
    :param dead_letter_topic: where requests go that cannot be read, answered or finished
    :param control_topic: where commands come from; all of it is read, from its beginning
    :param concurrency: how many jobs run at a time in this process
    :param grace: seconds that running jobs get to finish when the worker is told to stop
    :param max_deliveries: how often a job may be begun by workers that die before it ends, until it
        counts as what kills them
    :param worker_id: this process's name in events; by default host, process id and a random part
    :raises ConfigurationError: a value makes no sense
    """

    def __init__(
        self,
        group_id: str,
        *,
        kafka: Mapping[str, Any] | None = None,
        request_topic: str = REQUEST_TOPIC,
        dead_letter_topic: str = DEAD_LETTER_TOPIC,
        control_topic: str = CONTROL_TOPIC,
        concurrency: int = 1,
        grace: float = GRACE_SECONDS,
        max_deliveries: int = MAX_DELIVERIES,
        worker_id: str | None = None,
    ) -> None:
        if not group_id:
            raise ConfigurationError("a worker needs a group_id: the name of its consumer group")
        if concurrency < 1:
            raise ConfigurationError(f"concurrency must be at least 1, not {concurrency}")
        if max_deliveries < 1:
            raise ConfigurationError(f"max_deliveries must be at least 1, not {max_deliveries}")
        if grace < 0:
            raise ConfigurationError(f"grace must not be negative, as {grace:g} s is")
        self.group_id = group_id
        self.request_topic = request_topic
        self.dead_letter_topic = dead_letter_topic
        self.control_topic = control_topic
        self.concurrency = concurrency
        self.grace = grace
        self.max_deliveries = max_deliveries
        self.worker_id = worker_id or _default_worker_id()
        self.handlers: dict[str, Handler] = {}
        self._kafka = kafka

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Worker:
        """Return a worker as the environment sets it.

        ``KAFKA_BRIDGE_GROUP_ID`` (required), ``KAFKA_BRIDGE_REQUEST_TOPIC``,
        ``KAFKA_BRIDGE_DEAD_LETTER_TOPIC``, ``KAFKA_BRIDGE_CONCURRENCY``,
        ``KAFKA_BRIDGE_GRACE_SECONDS``, and Kafka's own as in :class:`Worker`.

        :raises ConfigurationError: one is missing or is no number
        """
        group_id = environ.get("KAFKA_BRIDGE_GROUP_ID", "")
        if not group_id:
            raise ConfigurationError(
                "KAFKA_BRIDGE_GROUP_ID is not set: the name of this service's consumer group"
            )
        return cls(
            group_id,
            kafka=KafkaConfig.from_env(environ).settings,
            request_topic=environ.get("KAFKA_BRIDGE_REQUEST_TOPIC", REQUEST_TOPIC),
            dead_letter_topic=environ.get("KAFKA_BRIDGE_DEAD_LETTER_TOPIC", DEAD_LETTER_TOPIC),
            control_topic=environ.get("KAFKA_BRIDGE_CONTROL_TOPIC", CONTROL_TOPIC),
            max_deliveries=_number(environ, "KAFKA_BRIDGE_MAX_DELIVERIES", int, MAX_DELIVERIES),
            concurrency=_number(environ, "KAFKA_BRIDGE_CONCURRENCY", int, 1),
            grace=_number(environ, "KAFKA_BRIDGE_GRACE_SECONDS", float, GRACE_SECONDS),
        )

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

    def run(self, *, on_ready: Callable[[], None] = lambda: None) -> None:
        """Take and do jobs until SIGTERM or SIGINT, then finish those at hand.

        Running jobs get ``grace`` seconds; what is not finished then is handed back, and delivered
        again to another worker. A second signal stops at once.

        :param on_ready: called once, when the first partitions are assigned
        :raises ConfigurationError: no handler is registered, or Kafka is not configured
        :raises KafkaError: Kafka cannot be used, and waiting would not help
        """
        if not self.handlers:
            raise ConfigurationError("the worker has no handler: decorate one with @worker.job(…)")
        Service(self, Observer(), on_ready).run()


def _default_worker_id() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"


N = TypeVar("N", int, float)


def _number(environ: Mapping[str, str], name: str, kind: type[N], default: N) -> N:
    text = environ.get(name)
    if text is None:
        return default
    try:
        return kind(text)
    except ValueError as error:
        raise ConfigurationError(f"{name} must be a number, not {text!r}") from error
