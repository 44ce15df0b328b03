"""Which functions can be handlers, by their signatures, and the words for those that cannot."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import PydanticUserError, TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.context import JobContext

SHAPE = "must take (job) or (job, payload) and nothing else"


def label(function: Any) -> str:
    """Return what a function is called in an error."""
    return str(getattr(function, "__qualname__", None) or repr(function))


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Tell whether a call returns a coroutine, as far as the function itself says so."""
    return inspect.iscoroutinefunction(_called(function))


def payload_parameter(name: str, function: Callable[..., Any]) -> str | None:
    """Return the name of a handler's payload parameter; None if it takes the job only.

    :param name: what the handler is called in an error
    :raises ConfigurationError: the function cannot be a handler
    """
    if (why := _why_not(function)) is not None:
        raise ConfigurationError(f"{name} {why}")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise ConfigurationError(f"{name} has no signature: wrap it in a function") from None
    positional = _positional(name, parameters)
    if positional[0].name in ("self", "cls"):
        raise ConfigurationError(
            f"{name} is a method without its object: register the method of an instance, "
            "worker.job(…)(instance.method)"
        )
    if not _takes_job(function, positional[0]):
        raise ConfigurationError(
            f"{name} gets the JobContext as its first parameter, but {positional[0].name!r} is "
            f"annotated {positional[0].annotation!r}: write (job: JobContext, payload: …)"
        )
    return positional[1].name if len(positional) == 2 else None


def payload_type(name: str, function: Callable[..., Any], parameter: str) -> Any:
    """Return the annotation of a payload parameter; Any if it has none.

    :raises ConfigurationError: it cannot be read
    """
    try:
        hints = typing.get_type_hints(_hinted(function), include_extras=True)
    except Exception as error:  # whatever the evaluation of a text may raise
        raise _unreadable(name, error) from error
    return hints.get(parameter, Any)


def payload_adapter(name: str, wanted: Any) -> TypeAdapter[Any]:
    """Return what makes a payload of this type.

    :raises ConfigurationError: JSON cannot become it, or it refers to a type that does not exist
    """
    try:
        adapter = TypeAdapter(wanted)
        adapter.rebuild(raise_errors=True)
    except PydanticUndefinedAnnotation as error:
        raise _unreadable(name, f"{wanted!r} refers to {error.name!r}, which is not defined") from (
            error
        )
    except (PydanticUserError, TypeError) as error:
        raise ConfigurationError(
            f"{name} cannot be given a payload of type {wanted!r}: use a pydantic model, a "
            "dataclass, a TypedDict, dict, list, str, bytes or a number"
        ) from error
    return adapter


def _unreadable(name: str, why: object) -> ConfigurationError:
    return ConfigurationError(
        f"the annotations of {name} cannot be read: {why}. Define or import payload types in the "
        "handler's module, above the handler."
    )


def _positional(name: str, parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """Return the one or two parameters that a worker fills.

    :raises ConfigurationError: there are others, which it could not fill
    """
    positional = []
    for each in parameters:
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            raise ConfigurationError(
                f"{name} takes {each}, and {SHAPE}. In a decorator, put functools.wraps(…) on the "
                "function that it returns"
            )
        if each.kind is not each.KEYWORD_ONLY:
            positional.append(each)
        elif each.default is each.empty:  # functools.partial sets a default
            raise ConfigurationError(
                f"{name} has the parameter {each.name!r}, which has no value: give it a default"
            )
    if len(positional) not in (1, 2):
        raise ConfigurationError(f"{name} {SHAPE}")
    return positional


def _called(function: Callable[..., Any]) -> Any:
    """Return the function that a call runs; for an instance, its ``__call__``."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else getattr(function, "__call__", None)  # noqa: B004


def _hinted(function: Callable[..., Any]) -> Any:
    """Return the function with the annotations; for a callable object, its method."""
    called = _called(function)
    while (inner := inspect.unwrap(called)) is not called:  # a decorator around what can be called
        called = _called(inner)
    return called if inspect.isroutine(called) else function


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
    return annotation is parameter.empty or allows_job(annotation)


def allows_job(annotation: Any) -> bool:
    """Tell whether a JobContext may be passed where this annotation stands.

    What cannot be looked at, such as a type variable, is given the benefit of the doubt.
    """
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return allows_job(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return any(allows_job(each) for each in typing.get_args(annotation))
    kind = annotation if origin is None else origin
    if kind is Any or not isinstance(kind, type):
        return origin is not typing.Literal
    if kind is types.NoneType:
        return False
    if getattr(kind, "_is_protocol", False):
        return True
    return issubclass(JobContext, kind) or issubclass(kind, JobContext)
