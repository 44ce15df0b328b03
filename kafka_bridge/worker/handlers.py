"""Handlers: what a service does for a job type, and the payload as its signature wants it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.media_types import is_json
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.worker.errors import invalid_payload
from kafka_bridge.worker.retries import RetryPolicy


@dataclass(frozen=True, slots=True)
class Handler:
    """A function for one job type. ``payload`` reads its payload, None when it takes none.

    ``concurrency`` is how many jobs of the type run at a time in a process, None as many as the
    worker's own limit allows.
    """

    job_type: str
    function: Callable[..., Any]
    payload: TypeAdapter[Any] | None
    takes_bytes: bool
    is_async: bool
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    concurrency: int | None = None

    @classmethod
    def of(
        cls,
        job_type: str,
        function: Callable[..., Any],
        retry: RetryPolicy | None = None,
        concurrency: int | None = None,
    ) -> Handler:
        """Return the handler that a function is, by its signature.

        :raises ConfigurationError: it is not ``(job)`` or ``(job, payload)``, or ``concurrency`` is
            below 1
        """
        if concurrency is not None and concurrency < 1:
            raise ConfigurationError(
                f"the concurrency of {job_type!r} must be at least 1, not {concurrency}"
            )
        parameters = list(inspect.signature(function).parameters.values())
        positional = [
            p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        if len(positional) not in (1, 2) or len(positional) != len(parameters):
            raise ConfigurationError(
                f"the handler of {job_type!r}, {function.__qualname__}, must take (job) or "
                "(job, payload) and nothing else"
            )
        wanted = None if len(positional) == 1 else _annotation(function, positional[1].name)
        return cls(
            job_type,
            function,
            payload=None if len(positional) == 1 else _adapter(function, wanted),
            takes_bytes=wanted is bytes,
            is_async=inspect.iscoroutinefunction(function),
            retry=retry or RetryPolicy(),
            concurrency=concurrency,
        )

    def arguments(self, request: JobRequest) -> tuple[Any, ...]:
        """Return the payload as the handler wants it, as the arguments that follow the context.

        :raises ApplicationError: ``invalid_payload``, naming the field that does not fit
        """
        if self.payload is None:
            return ()
        if self.takes_bytes:
            return (request.payload or b"",)
        if request.payload_type is not None and not is_json(request.payload_type):
            raise invalid_payload(
                f"{self.job_type} takes JSON, the payload is {request.payload_type!r}"
            )
        try:
            # No payload is JSON's null: a handler whose annotation allows None takes it.
            return (self.payload.validate_json(request.payload or b"null"),)
        except ValidationError as error:
            raise invalid_payload(_words(self.job_type, error)) from None


def _annotation(function: Callable[..., Any], name: str) -> Any:
    try:
        return typing.get_type_hints(function, include_extras=True).get(name, Any)
    except NameError as error:
        raise ConfigurationError(
            f"the annotations of {function.__qualname__} cannot be read: {error}. Payload types "
            "must be importable where the handler is defined."
        ) from error


def _adapter(function: Callable[..., Any], wanted: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(wanted)
    except PydanticUserError as error:
        raise ConfigurationError(
            f"{function.__qualname__} cannot be given a payload of type {wanted!r}: use a pydantic "
            "model, a dataclass, a TypedDict, dict, list, str, bytes or a number"
        ) from error


def _words(job_type: str, error: ValidationError) -> str:
    faults = [
        f"{'.'.join(str(part) for part in fault['loc']) or 'payload'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return f"the payload does not fit {job_type}: " + "; ".join(faults)
