"""The worker: consumes job requests and publishes status events to each job's response topic."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from functools import partial
from typing import Any, ParamSpec, TypeVar

from kafka_bridge.kafka.config import ENV_BOOTSTRAP, KafkaConfig
from kafka_bridge.logs import logging_of_environment
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.context import JobContext
from kafka_bridge.worker.durations import Duration
from kafka_bridge.worker.environment import unused_variables
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.lifespan import Hook, Lifespan, LifespanContext, checked_hook
from kafka_bridge.worker.middleware import CallNext, Middleware
from kafka_bridge.worker.monitoring.observer import MetricSource
from kafka_bridge.worker.processes.address import WorkerAddress
from kafka_bridge.worker.processes.role import refuse_in_child
from kafka_bridge.worker.processes.serving import serving
from kafka_bridge.worker.retries import Backoff, RetryPolicy
from kafka_bridge.worker.runtime.own_thread import run_on_thread
from kafka_bridge.worker.runtime.run import WorkerRun, WorkerSpec
from kafka_bridge.worker.runtime.signals import stop_on_signals
from kafka_bridge.worker.settings import WorkerSettings

_log = logging.getLogger("kafka_bridge.worker")

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H", bound=Hook)
M = TypeVar("M", bound=Callable[[JobContext, CallNext], Any])


class Worker:
    """A service's side of the bridge: a consumer group, a request topic and some job types.

    ::

        worker = Worker(group_id="file-auditors")

        @worker.job("files.audit")
        def audit(job: JobContext, payload: AuditRequest) -> AuditReport:
            job.progress(3, total=10, unit="files")
            return AuditReport(...)

        worker.run()    # or: kafka-bridge worker run my_module:worker

    A parameter that is None is set by its environment variable, else by its default;
    :data:`~kafka_bridge.worker.settings.VARIABLES` has the names.

    :param group_id: the consumer group that all processes of this service share; required
    :param kafka: librdkafka's properties; by default those of the environment
        (``KAFKA_BRIDGE_BOOTSTRAP_SERVERS``, ``KAFKA_BRIDGE_KAFKA_…``)
    :param request_topic: the topic of this service's job requests; by default ``jobs.requests``
    :param dead_letter_topic: the topic for requests that cannot be read, answered or finished; by
        default ``jobs.dead-letters``
    :param control_topic: the topic of commands, which is read from its beginning; by default
        ``jobs.control``
    :param concurrency: how many jobs run at a time in this process; by default 1
    :param grace: how long running jobs may take to finish after SIGTERM, a timedelta or seconds; by
        default 30 s
    :param max_deliveries: how many workers may die while they do a job; then the job fails, because
        it probably kills them; by default 5
    :param worker_id: the name of this process in events; by default hostname, process id and a
        random suffix
    :param metrics_port: the port for metrics and health; by default no port, 0 for any free port
    :param metrics_host: the address of that port; by default all addresses of this host
    :param response_topic: the topic of most of this service's events; by default
        ``jobs.responses``. Each request names its own response topic. The worker checks its
        permissions on this one when it starts, and waits for them if they are missing
    :param job_log: whether the start and the end of each job are logged; by default they are
    :param processes: how many jobs of handlers with ``process=True`` run at a time, each in a child
        process; by default 1. They do not count against ``concurrency``
    :param kill_after: how long such a handler may go on after a stop request, a timedelta or
        seconds; then its process is killed. By default 10 s
    :param max_jobs_per_process: after so many jobs a child process is replaced; by default never
    :param max_memory_per_process: a job whose child process holds more memory fails, and the
        process is replaced: bytes, or text such as ``2GiB``. By default there is no limit. Only on
        Linux
    :param time_limit: how long a job may run, a timedelta or seconds, unless its handler says
        otherwise; by default there is no limit
    :param forward_logs: from which level on what a handler logs reaches its task's log, unless the
        handler says otherwise: ``DEBUG``, ``INFO``, ``WARNING``, ``ERROR`` or ``CRITICAL``; by
        default ``OFF``
    :param lifespan: gets the worker and returns a context manager, sync or async. It is entered in
        each process when a broker has answered, before the worker consumes, and exited after the
        last job. What it gives is ``job.state``
    :ivar kafka: the properties that the program gave; None if the environment's are used
    :ivar kafka_from: where these properties come from, for errors
    :ivar callback_topic: the topic where a gateway keeps callbacks; the worker checks its
        permissions on this one, too
    :ivar metric_sources: other sources of metrics, served together with the worker's own
    :ivar address: where child processes find this worker; by default it is searched for
    :ivar child_set_up: called in each child process before it imports the program
    :raises ConfigurationError: a value is not possible
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
        grace: Duration | None = None,
        max_deliveries: int | None = None,
        worker_id: str | None = None,
        metrics_port: int | None = None,
        metrics_host: str | None = None,
        response_topic: str | None = None,
        job_log: bool | None = None,
        processes: int | None = None,
        kill_after: Duration | None = None,
        max_jobs_per_process: int | None = None,
        max_memory_per_process: int | str | None = None,
        time_limit: Duration | None = None,
        forward_logs: str | None = None,
        lifespan: Callable[[Worker], LifespanContext] | None = None,
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
                "processes": processes,
                "kill_after": kill_after,
                "max_jobs_per_process": max_jobs_per_process,
                "max_memory_per_process": max_memory_per_process,
                "time_limit": time_limit,
                "forward_logs": forward_logs,
            }
        )
        self.group_id = settings.group_id
        self.request_topic = settings.request_topic
        self.dead_letter_topic = settings.dead_letter_topic
        self.control_topic = settings.control_topic
        self.concurrency = settings.concurrency
        self.grace: Duration = settings.grace
        self.max_deliveries = settings.max_deliveries
        self.worker_id = settings.worker_id or _default_worker_id()
        self.metrics_port = settings.metrics_port
        self.metrics_host = settings.metrics_host
        self.response_topic = settings.response_topic
        self.job_log = settings.job_log
        self.processes = settings.processes
        self.kill_after: Duration = settings.kill_after
        self.max_jobs_per_process = settings.max_jobs_per_process
        self.max_memory_per_process: int | str | None = settings.max_memory_per_process
        self.time_limit: Duration | None = settings.time_limit
        self.forward_logs = settings.forward_logs
        self.address: WorkerAddress | None = None
        self.child_set_up: Callable[[], None] | None = None
        self.callback_topic: str | None = None
        self.metric_sources: list[MetricSource] = []
        self.lifespan: Lifespan[Worker] = Lifespan(lifespan)
        self.middlewares: list[Middleware] = []
        self.handlers: dict[str, Handler] = {}
        self._stopping = threading.Event()
        self.kafka = kafka
        self.kafka_from = "kafka=… in the program"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Worker:
        """Return a worker with the settings of the environment, group and brokers included.

        ``KAFKA_BRIDGE_GROUP_ID`` is required; :data:`~kafka_bridge.worker.settings.VARIABLES` has
        the others. Kafka's own are as in :class:`Worker`.

        :param environ: by default the process's own
        :raises ConfigurationError: a variable is missing, or its value is not possible
        """
        settings = WorkerSettings.from_env(environ)
        worker = cls(kafka=KafkaConfig.from_env(environ).settings, **asdict(settings))
        # Where `environ` has none, the constructor took those of the process.
        worker.metrics_port = settings.metrics_port
        worker.worker_id = settings.worker_id or _default_worker_id()
        return worker

    def job(
        self,
        job_type: str,
        *,
        retries: int = 0,
        backoff: Backoff | None = None,
        non_retryable_errors: tuple[type[Exception], ...] = (),
        concurrency: int | None = None,
        process: bool = False,
        kill_after: Duration | None = None,
        time_limit: Duration | None = None,
        forward_logs: str | None = None,
        batch: int | None = None,
        linger: Duration | None = None,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Make the decorated function, sync or async, the handler of a job type.

        The function gets the :class:`JobContext` and, if it has a second parameter, the payload in
        the type of that parameter's annotation (a pydantic model, a dataclass, ``dict``, ``bytes``
        …). Its return value is the task's result.

        With ``batch``, it gets a list of up to this many jobs and, if it has a second parameter,
        the list of their payloads. It returns a list in the same order, with the result of each
        job, or the exception that this job fails with.

        :param job_type: the dotted name of the work, such as ``files.audit``
        :param retries: how many times this worker calls the handler again after an exception
        :param backoff: how long to wait before each retry; by default 1 s, 2 s, 4 s … up to a
            minute, plus up to a second at random
        :param non_retryable_errors: exception classes after which the worker does not retry. The
            Airflow task may still retry, unless it is ``ApplicationError(retryable=False)``
        :param concurrency: how many jobs of this type run at a time in this process, within the
            worker's own limit; with ``batch``, how many batches, by default 1
        :param process: whether the handler runs in a child process, for work that needs a
            processor for itself, or that may crash or hang
        :param kill_after: how long it may go on after a stop request, a timedelta or seconds; then
            its process is killed. By default the worker's
        :param time_limit: how long a job may run on this worker, with its retries, a timedelta or
            seconds; then it is asked to stop and fails as ``time_limit_exceeded``. A coroutine is
            cancelled, a process that does not stop is killed, a thread cannot be killed. By default
            the worker's; ``math.inf`` for no limit
        :param forward_logs: from which level on what it logs reaches the task's log, such as
            ``INFO``; by default the worker's; ``OFF`` for none
        :param batch: how many jobs one call of the handler gets at most. A batch takes one slot
        :param linger: how long the first job of a batch waits for others, a timedelta or seconds;
            by default 0.05 s. A batch that is full begins at once
        :raises ConfigurationError: the job type has a handler already, the function cannot be a
            handler, a number is not possible, or ``batch`` is given and the worker has middleware
        """
        retry = RetryPolicy(retries, backoff or Backoff(), non_retryable_errors)

        def register(function: Callable[P, R]) -> Callable[P, R]:
            if job_type in self.handlers:
                raise ConfigurationError(f"job type {job_type!r} already has a handler")
            if batch is not None and self.middlewares:
                raise _batch_in_middleware(job_type)
            self.handlers[job_type] = Handler.of(
                job_type,
                function,
                retry,
                concurrency,
                in_process=process,
                kill_after=kill_after,
                time_limit=time_limit,
                forward_logs=forward_logs,
                batch=batch,
                linger=linger,
            )
            return function

        return register

    def middleware(self, function: M) -> M:
        """Make the decorated function, sync or async, a middleware around each job of this worker.

        It gets the job and ``call_next``, which runs the job with all its retries and returns its
        result or raises its error. What the middleware returns is the result. The first one that is
        registered is the outermost. In an async middleware, ``call_next`` is awaited.

        :raises ConfigurationError: it does not take ``(job, call_next)``, or the worker has a batch
            handler, which has no call for each job
        """
        for each in self.handlers.values():
            if each.batching is not None:
                raise _batch_in_middleware(each.job_type)
        self.middlewares.append(Middleware.of(function))
        return function

    def on_startup(self, function: H) -> H:
        """Make the decorated function, sync or async, run once before the first job.

        Several run in the order of their registration, inside the lifespan. If one fails, the
        worker does not start. Each child process runs them, too.

        :raises ConfigurationError: it has parameters, or it is a generator
        """
        self.lifespan.startup.append(checked_hook("on_startup", function))
        return function

    def on_shutdown(self, function: H) -> H:
        """Make the decorated function, sync or async, run once after the last job.

        Several run in the opposite order, before the lifespan ends. If one fails, that is logged,
        and the others run.

        :raises ConfigurationError: it has parameters, or it is a generator
        """
        self.lifespan.shutdown.append(checked_hook("on_shutdown", function))
        return function

    def kafka_config(self) -> KafkaConfig:
        """Return how this worker reaches Kafka.

        :raises ConfigurationError: neither the program nor the environment names brokers
        """
        return KafkaConfig(self.kafka) if self.kafka is not None else KafkaConfig.from_env()

    def settings(self) -> WorkerSettings:
        """Return the present settings of this worker.

        :raises ConfigurationError: the program has set an impossible value
        """
        return WorkerSettings(
            **{field.name: getattr(self, field.name) for field in fields(WorkerSettings)}
        )

    def run(
        self, *, on_ready: Callable[[], None] = lambda: None, configure_logging: bool = True
    ) -> None:
        """Run jobs until SIGTERM, SIGINT or :meth:`stop`; then finish the running ones.

        Running jobs get ``grace`` to finish. Then the worker releases them, and they are delivered
        to another worker. A second signal ends the process at once. Signals work only on the
        process's main thread; on another thread, :meth:`stop` ends the worker.

        While no broker answers at the start, the worker logs that and goes on trying until one
        does, or until it is told to stop.

        :param on_ready: called once, when the first partitions are assigned
        :param configure_logging: whether to log to standard error as ``kafka-bridge worker run``
            does, if the program has no log handler. ``KAFKA_BRIDGE_LOG_LEVEL`` and
            ``KAFKA_BRIDGE_LOG_FORMAT`` apply
        :raises ConfigurationError: no handler is registered, Kafka is not configured, or child
            processes cannot run the handlers with ``process=True``
        :raises KafkaError: Kafka cannot be used, and waiting would not help
        :raises StartupFailed: the lifespan or an ``on_startup`` function failed
        """
        if not self.handlers:
            raise ConfigurationError(
                "the worker has no handler: decorate a function with @worker.job(…)"
            )
        refuse_in_child()
        if configure_logging:
            set_up = logging_of_environment(os.environ)
            set_up()
            self.child_set_up = self.child_set_up or set_up
        settings = self.settings()
        self._log_start(settings)
        for unused in unused_variables(settings, self.kafka, os.environ):
            _log.warning("%s", unused)
        kafka = self.kafka_config()
        try:
            with serving(self, settings) as served:
                spec = WorkerSpec(
                    settings,
                    served.handlers,
                    kafka,
                    self._servers_from(),
                    self.callback_topic,
                    [*self.metric_sources, *served.metrics],
                    partial(self.lifespan.entered, self, ended=self.stop),
                    tuple(self.middlewares),
                )
                WorkerRun(spec, partial(_ready, on_ready), self._stopping).run()
        finally:
            self._stopping.clear()
        _log.info("Stopped")

    async def run_async(
        self, *, on_ready: Callable[[], None] = lambda: None, configure_logging: bool = True
    ) -> None:
        """Do the same as :meth:`run` in a program that has an event loop.

        The worker has threads of its own, and an event loop of its own for handlers: what belongs
        to the program's loop cannot be used in them. If this task is cancelled, the worker stops as
        after SIGTERM, and the cancel is passed on when it has stopped.

        :param on_ready: as for :meth:`run`; it is called on another thread
        :param configure_logging: as for :meth:`run`
        :raises ConfigurationError: as for :meth:`run`
        :raises KafkaError: as for :meth:`run`
        :raises StartupFailed: as for :meth:`run`
        """
        run = partial(self.run, on_ready=on_ready, configure_logging=configure_logging)
        with stop_on_signals(self._stopping, self.settings().grace):
            await run_on_thread(run, stop=self.stop)

    def _log_start(self, settings: WorkerSettings) -> None:
        has_processes = any(each.in_process for each in self.handlers.values())
        _log.info(
            "Worker %s of group %s: job types %s from topic %s, concurrency %d%s",
            settings.worker_id,
            settings.group_id,
            ", ".join(sorted(self.handlers)),
            settings.request_topic,
            settings.concurrency,
            f", processes {settings.processes}" if has_processes else "",
        )

    def _servers_from(self) -> str:
        given = self.kafka or {}
        is_given = "bootstrap.servers" in given
        is_same = given.get("bootstrap.servers") == os.environ.get(ENV_BOOTSTRAP)
        return self.kafka_from if is_given and not is_same else ENV_BOOTSTRAP

    def stop(self) -> None:
        """Make :meth:`run` stop as after SIGTERM; return at once. Any thread may call this.

        If the worker does not run yet, it stops as soon as it does.
        """
        self._stopping.set()


def _ready(on_ready: Callable[[], None]) -> None:
    _log.info("Ready for jobs")
    on_ready()


def _batch_in_middleware(job_type: str) -> ConfigurationError:
    return ConfigurationError(
        f"the handler of {job_type!r} has batch=…, and its worker has middleware: middleware "
        "surrounds the call for one job, and a batch has one call for all its jobs. Do in the "
        "handler what the middleware does, or give the batch handler a worker of its own, with its "
        "own group_id and request_topic"
    )


def _default_worker_id() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
