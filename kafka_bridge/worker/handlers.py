"""Handlers: a function for each job type, and its payload in the type of its signature."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from pydantic import TypeAdapter, ValidationError

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.media_types import is_json
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.worker.batching import Batching, payload_item, payloads_parameter, refuse_job
from kafka_bridge.worker.dependencies import Dependencies, dependencies_of
from kafka_bridge.worker.durations import Duration, kill_seconds, limit_seconds
from kafka_bridge.worker.errors import ApplicationError, invalid_payload
from kafka_bridge.worker.log_levels import OFF, forwarded_level
from kafka_bridge.worker.retries import RetryPolicy
from kafka_bridge.worker.settings import WorkerSettings
from kafka_bridge.worker.signatures import (
    is_coroutine_function,
    label,
    payload_adapter,
    payload_parameter,
    payload_type,
    refuse,
)


@dataclass(frozen=True, slots=True)
class Handler:
    """A function for one job type.

    :param payload: validates its payload; None if it has no payload parameter
    :param concurrency: how many of its calls run at a time in a process; None: only the worker's
        own limit applies
    :param in_process: whether it runs in a child process of the worker
    :param kill_after: seconds from a stop request until its process is killed; None: as the worker
        says
    :param time_limit: seconds that one of its jobs may run, retries included; None: as the worker
        says
    :param forward_logs: from which level on its log lines reach the task's log; None: as the worker
        says
    :param dependencies: what it asks for by annotation, by parameter
    :param elsewhere: runs its jobs in its place, as ``runtime.calls.call_handler`` does here
    :param batching: how its jobs become batches; None if each has a call of its own
    """

    job_type: str
    function: Callable[..., Any]
    payload: TypeAdapter[Any] | None
    takes_bytes: bool
    is_async: bool
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    concurrency: int | None = None
    in_process: bool = False
    kill_after: float | None = None
    time_limit: float | None = None
    forward_logs: str | None = None
    elsewhere: Callable[..., Any] | None = None
    dependencies: Dependencies = ()
    batching: Batching | None = None

    @classmethod
    def of(
        cls,
        job_type: str,
        function: Callable[..., Any],
        retry: RetryPolicy | None = None,
        concurrency: int | None = None,
        *,
        in_process: bool = False,
        kill_after: Duration | None = None,
        time_limit: Duration | None = None,
        forward_logs: str | None = None,
        batch: int | None = None,
        linger: Duration | None = None,
    ) -> Handler:
        """Return a handler for a function, by its signature.

        :raises ConfigurationError: it cannot be a handler, ``concurrency`` is below 1,
            ``kill_after`` is negative or is given without ``in_process``, ``time_limit`` is not
            greater than 0, ``forward_logs`` is not a level, or ``batch`` or ``linger`` is not
            possible
        """
        _check(job_type, concurrency, kill_after, in_process=in_process)
        batching = Batching.of(job_type, batch, linger, in_process=in_process)
        name = f"the handler of {job_type!r}, {label(function)},"
        refuse(name, function)
        dependencies = dependencies_of(name, function)
        if batching is not None:
            refuse_job(name, dependencies)
            concurrency, forward_logs = concurrency or 1, _no_logs(job_type, forward_logs)
        parameter, wanted = _payload(name, function, dependencies, batching)
        return cls(
            job_type,
            function,
            payload=None if parameter is None else payload_adapter(name, wanted),
            takes_bytes=wanted is bytes,
            is_async=is_coroutine_function(function),
            dependencies=dependencies,
            retry=retry or RetryPolicy(),
            concurrency=concurrency,
            batching=batching,
            in_process=in_process,
            kill_after=None if kill_after is None else kill_seconds(kill_after),
            time_limit=limit_seconds(time_limit),
            forward_logs=None if forward_logs is None else forwarded_level(forward_logs),
        )

    def slots_for(self, jobs: int) -> int:
        """Return how many slots this many jobs need: a batch has one."""
        return jobs if self.batching is None else math.ceil(jobs / self.batching.size)

    def arguments(self, request: JobRequest) -> tuple[Any, ...]:
        """Return the arguments after the context: the payload in the handler's type, or nothing.

        A batch handler gets lists of these.

        :raises ApplicationError: ``invalid_payload``, with the name of the wrong field
        """
        if self.payload is None:
            return ()
        if self.takes_bytes:
            return (request.payload or b"",)
        if request.payload_type is not None and not is_json(request.payload_type):
            raise invalid_payload(
                f"{self.job_type} accepts JSON, but the payload is {request.payload_type!r}"
            )
        try:
            # A request without payload is JSON's null, for handlers whose annotation allows None.
            return (self.payload.validate_json(request.payload or b"null"),)
        except ValidationError as error:
            raise invalid_payload(_words(self.job_type, error)) from None

    def collected(self, value: Any) -> Any:
        """Return the result of a handler; of a generator, the list of its items.

        Call this where the handler was called: a generator runs the handler's own code.

        :raises ApplicationError: ``result_not_serialisable``: it is asynchronous and no coroutine,
            so that nobody knows which event loop it belongs to
        """
        if isinstance(value, GeneratorType):
            return list(value)
        if not isinstance(value, _NEVER_RUN):
            return value
        raise ApplicationError(
            f"the handler of {self.job_type!r}, {label(self.function)}, returned a "
            f"{type(value).__name__} that is not awaited: write 'async def' and await it there",
            type="result_not_serialisable",
            details="",
            retryable=False,
        )


def _check(
    job_type: str, concurrency: int | None, kill_after: Duration | None, *, in_process: bool
) -> None:
    if concurrency is not None and concurrency < 1:
        raise ConfigurationError(
            f"the concurrency of {job_type!r} must be at least 1, not {concurrency}"
        )
    if kill_after is not None and not in_process:
        raise ConfigurationError(
            f"kill_after of {job_type!r} needs process=True: only a process can be killed"
        )


def _no_logs(job_type: str, forward_logs: str | None) -> str:
    """Return that a batch handler forwards no log lines, whatever the worker says.

    :raises ConfigurationError: it asks for that
    """
    if forward_logs is not None and forwarded_level(forward_logs) != OFF:
        raise ConfigurationError(
            f"{job_type!r} has both batch=… and forward_logs: a line that is logged for several "
            "jobs has no task of its own. Use job.message() of the job that it is about"
        )
    return OFF


def _payload(
    name: str,
    function: Callable[..., Any],
    dependencies: Dependencies,
    batching: Batching | None,
) -> tuple[str | None, Any]:
    """Return the parameter for the payload, None if there is none, and the type of a payload."""
    filled = [each for each, _ in dependencies]
    find = payload_parameter if batching is None else payloads_parameter
    if (parameter := find(name, function, filled)) is None:
        return None, None
    wanted = payload_type(name, function, parameter)
    return parameter, wanted if batching is None else payload_item(name, wanted)


def with_defaults(handlers: Mapping[str, Handler], settings: WorkerSettings) -> dict[str, Handler]:
    """Return handlers that have the worker's settings where they say nothing themselves."""
    return {name: _with_defaults(each, settings) for name, each in handlers.items()}


def _with_defaults(handler: Handler, settings: WorkerSettings) -> Handler:
    limit, level = handler.time_limit, handler.forward_logs
    return replace(
        handler,
        time_limit=settings.time_limit if limit is None else limit,
        forward_logs=settings.forward_logs if level is None else level,
    )


_NEVER_RUN = (AsyncGeneratorType, asyncio.Future)


def _words(job_type: str, error: ValidationError) -> str:
    faults = [
        f"{'.'.join(str(part) for part in fault['loc']) or 'payload'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return f"the payload does not fit {job_type}: " + "; ".join(faults)
