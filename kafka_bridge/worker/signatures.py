"""Which functions can be handlers, by their signatures, and the words for those that cannot."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Collection
from typing import Annotated, Any

from pydantic import PydanticUserError, TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.context import JobContext

SHAPE = "must take (job) or (job, payload), and beyond that only what is Annotated[…, Depends(…)]"


def label(function: Any) -> str:
    """Return what a function is called in an error."""
    return str(getattr(function, "__qualname__", None) or repr(function))


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Tell whether a call returns a coroutine, as far as the function itself says so."""
    return inspect.iscoroutinefunction(called(function))


def refuse(name: str, function: Any) -> None:
    """Return if an object can be a handler, as far as its parameters do not say otherwise.

    :param name: what the handler is called in an error
    :raises ConfigurationError: it cannot
    """
    if (why := _why_not(function)) is not None:
        raise ConfigurationError(f"{name} {why}")


def parameters_of(name: str, function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters of a function.

    :raises ConfigurationError: nobody knows them
    """
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise ConfigurationError(f"{name} has no signature: wrap it in a function") from None


def payload_parameter(
    name: str, function: Callable[..., Any], filled: Collection[str] = ()
) -> str | None:
    """Return the name of a handler's payload parameter; None if it has none.

    :param filled: the parameters that dependencies fill
    :raises ConfigurationError: the parameters are not those of a handler
    """
    positional = positional_parameters(name, function, filled)
    if len(positional) not in (1, 2):
        raise ConfigurationError(f"{name} {SHAPE}")
    if positional[0].name in ("self", "cls"):
        raise ConfigurationError(
            f"{name} is a method without its object: register the method of an instance, "
            "worker.job(…)(instance.method)"
        )
    if not allows_job(annotation_of(function, positional[0])):
        raise ConfigurationError(
            f"{name} gets the JobContext as its first parameter, but {positional[0].name!r} is "
            f"annotated {positional[0].annotation!r}: write (job: JobContext, payload: …)"
        )
    return positional[1].name if len(positional) == 2 else None


def job_parameter(name: str, function: Callable[..., Any], filled: Collection[str]) -> str | None:
    """Return the name of the parameter by which a dependency takes the job; None if it does not.

    :param filled: the parameters that other dependencies fill
    :raises ConfigurationError: it has other parameters
    """
    positional = [
        each for each in positional_parameters(name, function, filled) if each.default is each.empty
    ]
    if not positional:
        return None
    if len(positional) > 1 or not allows_job(annotation_of(function, positional[0])):
        raise ConfigurationError(
            f"{name} must take (job: JobContext) or nothing, and beyond that only what is "
            "Annotated[…, Depends(…)] or has a default"
        )
    return positional[0].name


def payload_type(name: str, function: Callable[..., Any], parameter: str) -> Any:
    """Return the annotation of a payload parameter; Any if it has none.

    :raises ConfigurationError: it cannot be read
    """
    return hints_of(name, function).get(parameter, Any)


def hints_of(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function.

    :raises ConfigurationError: they cannot be read
    """
    try:
        return typing.get_type_hints(_hinted(function), include_extras=True)
    except Exception as error:  # whatever the evaluation of a text may raise
        raise _unreadable(name, error) from error


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


def positional_parameters(
    name: str, function: Callable[..., Any], filled: Collection[str]
) -> list[inspect.Parameter]:
    """Return the positional parameters that dependencies do not fill.

    :param filled: the parameters that dependencies fill
    :raises ConfigurationError: there are others without a value
    """
    positional = []
    dependency: inspect.Parameter | None = None
    for each in parameters_of(name, function):
        if each.name in filled:
            dependency = each
            continue
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            raise ConfigurationError(
                f"{name} takes {each}, and {SHAPE}. In a decorator, put functools.wraps(…) on the "
                "function that it returns"
            )
        if each.kind is not each.KEYWORD_ONLY:
            if dependency is not None:
                raise ConfigurationError(
                    f"{name} has {each.name!r} after {dependency.name!r}: what Depends(…) fills "
                    "comes last"
                )
            positional.append(each)
        elif each.default is each.empty:  # functools.partial sets a default
            raise ConfigurationError(
                f"{name} has the parameter {each.name!r}, which has no value: give it a default"
            )
    return positional


def called(function: Callable[..., Any]) -> Any:
    """Return the function that a call runs; for an instance, its ``__call__``."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else getattr(function, "__call__", None)  # noqa: B004


def _hinted(function: Callable[..., Any]) -> Any:
    """Return the function with the annotations; for a callable object, its method."""
    code = called(function)
    while (inner := inspect.unwrap(code)) is not code:  # a decorator around what can be called
        code = called(inner)
    return code if inspect.isroutine(code) else function


def _why_not(function: Any) -> str | None:
    """Return why an object cannot be a handler, apart from its parameters; None if it can."""
    if inspect.isclass(function):
        return "is a class: decorate a function, or register a method of an instance"
    if not callable(function):
        return "cannot be called: decorate a function"
    code = called(function)
    if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
        return (
            "is a generator (it has a yield): a handler returns its result once. Collect the "
            "items in a list and return that; report steps with job.progress()"
        )
    return None


def annotation_of(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """Return the annotation of a parameter; Any if it has none, or if it cannot be read."""
    annotation = parameter.annotation
    if isinstance(annotation, str):
        try:
            return typing.get_type_hints(_hinted(function)).get(parameter.name, Any)
        except Exception:  # JobContext itself is often imported for type checkers only
            return Any
    return Any if annotation is parameter.empty else annotation


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
