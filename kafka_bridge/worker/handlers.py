"""Handlers: a function for each job type, and its payload in the type of its signature."""

from __future__ import annotations

import asyncio
import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.media_types import is_json
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.worker.context import JobContext
from kafka_bridge.worker.durations import Duration, kill_seconds, limit_seconds
from kafka_bridge.worker.errors import ApplicationError, invalid_payload
from kafka_bridge.worker.retries import RetryPolicy


@dataclass(frozen=True, slots=True)
class Handler:
    """A function for one job type.

    :param payload: validates its payload; None if it has no payload parameter
    :param concurrency: how many jobs of the type run at a time in a process; None: only the
        worker's own limit applies
    :param in_process: whether it runs in a child process of the worker
    :param kill_after: seconds from a stop request until its process is killed; None: as the worker
        says
    :param time_limit: seconds that one of its jobs may run, retries included; None: as the worker
        says
    :param elsewhere: runs its jobs in its place, as ``runtime.calls.call_handler`` does here
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
    elsewhere: Callable[..., Any] | None = None

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
    ) -> Handler:
        """Return a handler for a function, by its signature.

        :raises ConfigurationError: it cannot be a handler, ``concurrency`` is below 1, or
            ``kill_after`` is negative or is given without ``in_process``, or ``time_limit`` is not
            greater than 0
        """
        if concurrency is not None and concurrency < 1:
            raise ConfigurationError(
                f"the concurrency of {job_type!r} must be at least 1, not {concurrency}"
            )
        if kill_after is not None and not in_process:
            raise ConfigurationError(
                f"kill_after of {job_type!r} needs process=True: only a process can be killed"
            )
        positional = _parameters(job_type, function)
        wanted = None if len(positional) == 1 else _annotation(function, positional[1].name)
        return cls(
            job_type,
            function,
            payload=None if len(positional) == 1 else _adapter(function, wanted),
            takes_bytes=wanted is bytes,
            is_async=inspect.iscoroutinefunction(_called(function)),
            retry=retry or RetryPolicy(),
            concurrency=concurrency,
            in_process=in_process,
            kill_after=None if kill_after is None else kill_seconds(kill_after),
            time_limit=limit_seconds(time_limit),
        )

    def arguments(self, request: JobRequest) -> tuple[Any, ...]:
        """Return the arguments after the context: the payload in the handler's type, or nothing.

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

        :raises ApplicationError: ``result_not_serialisable``: it is a coroutine that was not
            awaited, for example of a lambda or a decorator around a coroutine function
        """
        if isinstance(value, GeneratorType):
            return list(value)
        if not isinstance(value, _NEVER_RUN):
            return value
        if isinstance(value, CoroutineType):
            value.close()  # or Python warns that it was never awaited
        raise ApplicationError(
            f"the handler of {self.job_type!r}, {_label(self.function)}, returned a "
            f"{type(value).__name__} that is not awaited: write 'async def' and await it there",
            type="result_not_serialisable",
            details="",
            retryable=False,
        )


def with_time_limit(handlers: Mapping[str, Handler], default: float | None) -> dict[str, Handler]:
    """Return handlers of which those without a time limit have this one.

    :param default: seconds
    """
    return {
        name: replace(each, time_limit=default) if each.time_limit is None else each
        for name, each in handlers.items()
    }


_NEVER_RUN = (CoroutineType, AsyncGeneratorType, asyncio.Future)


def _called(function: Callable[..., Any]) -> Any:
    """Return the function that a call runs; for an instance, its ``__call__``."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else getattr(function, "__call__", None)  # noqa: B004


def _label(function: Any) -> str:
    return str(getattr(function, "__qualname__", None) or repr(function))


def _parameters(job_type: str, function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the one or two parameters of a handler.

    :raises ConfigurationError: the function cannot be a handler
    """
    name = f"the handler of {job_type!r}, {_label(function)},"
    if (why := _why_not(function)) is not None:
        raise ConfigurationError(f"{name} {why}")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise ConfigurationError(f"{name} has no signature: wrap it in a function") from None
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) not in (1, 2) or len(positional) != len(parameters):
        raise ConfigurationError(f"{name} must take (job) or (job, payload) and nothing else")
    if positional[0].name in ("self", "cls"):
        raise ConfigurationError(
            f"{name} is a method without its object: register the method of an instance, "
            f"worker.job({job_type!r})(instance.method)"
        )
    if not _takes_job(function, positional[0]):
        raise ConfigurationError(
            f"{name} gets the JobContext as its first parameter, but {positional[0].name!r} is "
            f"annotated {positional[0].annotation!r}: write (job: JobContext, payload: …)"
        )
    return positional


def _why_not(function: Any) -> str | None:
    """Return why an object cannot be a handler, apart from its parameters; None if it can."""
    if inspect.isclass(function):
        return "is a class: decorate a function, or register a method of an instance"
    if not callable(function):
        return "cannot be called: decorate a function"
    called = _called(function)
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        return (
            "is a generator (it has a yield): a handler returns its result once. Collect the "
            "items in a list and return that; report steps with job.progress()"
        )
    return None


def _takes_job(function: Callable[..., Any], parameter: inspect.Parameter) -> bool:
    """Tell whether the annotation of the first parameter allows a JobContext."""
    annotation = parameter.annotation
    if isinstance(annotation, str):
        try:
            annotation = typing.get_type_hints(_hinted(function)).get(parameter.name)
        except Exception:  # JobContext itself is often imported for type checkers only
            return True
    if annotation in (parameter.empty, Any) or not isinstance(annotation, type):
        return True
    if getattr(annotation, "_is_protocol", False):
        return True
    return issubclass(JobContext, annotation) or issubclass(annotation, JobContext)


def _hinted(function: Callable[..., Any]) -> Any:
    """Return the function with the annotations; for a callable object, its method."""
    called = _called(function)
    return inspect.unwrap(called) if inspect.isroutine(called) else function


def _annotation(function: Callable[..., Any], name: str) -> Any:
    try:
        return typing.get_type_hints(_hinted(function), include_extras=True).get(name, Any)
    except NameError as error:
        raise ConfigurationError(
            f"the annotations of {_label(function)} cannot be read: {error}. Payload types "
            "must be importable where the handler is defined."
        ) from error


def _adapter(function: Callable[..., Any], wanted: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(wanted)
    except PydanticUserError as error:
        raise ConfigurationError(
            f"{_label(function)} cannot be given a payload of type {wanted!r}: use a pydantic "
            "model, a dataclass, a TypedDict, dict, list, str, bytes or a number"
        ) from error


def _words(job_type: str, error: ValidationError) -> str:
    faults = [
        f"{'.'.join(str(part) for part in fault['loc']) or 'payload'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return f"the payload does not fit {job_type}: " + "; ".join(faults)
