"""What handlers ask for by annotation: ``Annotated[Session, Depends(session)]``, as in FastAPI."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, TypeAlias

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.signatures import called, hints_of, job_parameter, label, parameters_of


@dataclass(frozen=True, slots=True)
class Depends:
    """Asks for what a function returns: ``session: Annotated[Session, Depends(open_session)]``.

    The function, sync or async, takes the job or nothing, and may depend on others. It is called
    once for each call of the handler. If it is a generator, it gives what it yields, and the rest
    of it runs when the handler has ended; it gets the handler's exception at its yield.

    :param function: makes the value
    """

    function: Callable[..., Any]


class Kind(Enum):
    """How a dependency makes its value."""

    FUNCTION = "function"
    COROUTINE = "coroutine"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"


@dataclass(frozen=True, slots=True, eq=False)
class Dependency:
    """A function that makes a value for handlers.

    :param takes_job: whether it gets the job
    :param parameters: its own dependencies, by parameter
    """

    function: Callable[..., Any]
    kind: Kind
    takes_job: bool
    parameters: Dependencies

    @property
    def is_async(self) -> bool:
        """Whether it, or one of its own dependencies, needs an event loop."""
        return self.kind in (Kind.COROUTINE, Kind.ASYNC_GENERATOR) or any_async(self.parameters)


Dependencies: TypeAlias = tuple[tuple[str, Dependency], ...]


def any_async(dependencies: Dependencies) -> bool:
    """Tell whether one of these needs an event loop."""
    return any(each.is_async for _, each in dependencies)


def dependencies_of(name: str, function: Callable[..., Any]) -> Dependencies:
    """Return the dependencies of a handler, by parameter.

    :param name: what the handler is called in an error
    :raises ConfigurationError: one of them cannot be called with what there is
    """
    return _Reader().dependencies(name, function)


class _Reader:
    """Reads signatures; each function once."""

    def __init__(self) -> None:
        self._known: dict[int, Dependency] = {}
        self._path: list[Callable[..., Any]] = []

    def dependencies(self, name: str, function: Callable[..., Any]) -> Dependencies:
        return tuple(
            (parameter, self._dependency(f"{name} parameter {parameter!r}:", marker.function))
            for parameter, marker in _markers(name, function, is_dependency=bool(self._path))
        )

    def _dependency(self, name: str, function: Callable[..., Any]) -> Dependency:
        if not callable(function):
            raise ConfigurationError(f"{name} Depends({function!r}) is not a function")
        if function in self._path:
            raise ConfigurationError(f"{name} {label(function)} depends on itself")
        if (known := self._known.get(id(function))) is not None:
            return known
        self._path.append(function)
        name = f"{name} the dependency {label(function)}"
        parameters = self.dependencies(name, function)
        filled = frozenset(parameter for parameter, _ in parameters)
        takes_job = job_parameter(name, function, filled) is not None
        made = Dependency(function, _kind(function), takes_job, parameters)
        self._path.pop()
        return self._known.setdefault(id(function), made)


def _markers(
    name: str, function: Callable[..., Any], *, is_dependency: bool
) -> list[tuple[str, Depends]]:
    parameters = parameters_of(name, function)
    for each in parameters:
        if isinstance(each.default, Depends):
            raise ConfigurationError(
                f"{name} has {each.name}=Depends(…): write it into the annotation, "
                f"{each.name}: Annotated[…, Depends({label(each.default.function)})]"
            )
    if len(parameters) == 1 and not is_dependency and isinstance(parameters[0].annotation, str):
        return []  # the job: JobContext itself is often imported for type checkers only
    hints = hints_of(name, function)
    found = [
        (each, marker)
        for each in parameters
        if (marker := _marker(hints.get(each.name))) is not None
    ]
    for each, _ in found:
        if each.kind is each.POSITIONAL_ONLY:
            raise ConfigurationError(
                f"{name} has the positional-only parameter {each.name!r}: a dependency is passed "
                "by its name"
            )
    return [(each.name, marker) for each, marker in found]


def _marker(annotation: Any) -> Depends | None:
    if typing.get_origin(annotation) is not Annotated:
        return None
    return next((each for each in annotation.__metadata__ if isinstance(each, Depends)), None)


def _kind(function: Callable[..., Any]) -> Kind:
    code = called(function)
    if inspect.isclass(function):
        return Kind.FUNCTION
    if inspect.isasyncgenfunction(code):
        return Kind.ASYNC_GENERATOR
    if inspect.isgeneratorfunction(code):
        return Kind.GENERATOR
    return Kind.COROUTINE if inspect.iscoroutinefunction(code) else Kind.FUNCTION
