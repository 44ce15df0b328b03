"""Handlers: which functions can be one, and the payload as their signatures want it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, TypeVar

import pytest
from pydantic import BaseModel

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.messages import ErrorType, JobState
from kafka_bridge.worker import ApplicationError, JobContext, Worker
from kafka_bridge.worker.handlers import Handler

from .samples import request, run_job

CALLS: list[Any] = []


class Model(BaseModel):
    """A pydantic payload."""

    path: str
    day: date = date(2026, 3, 1)


@dataclass
class Point:
    """A payload that is a dataclass."""

    x: int
    y: int = 2


class Opaque:
    """A class that no JSON can become."""


def no_payload(job: Any) -> None:
    """Take the job only."""


def unannotated(job: Any, payload):  # type: ignore[no-untyped-def]
    """Take whatever JSON the payload is."""


def a_dict(job: Any, payload: dict[str, int]) -> None:
    """Take a dictionary of integers."""


def a_model(job: Any, payload: Model) -> None:
    """Take a pydantic model."""


def a_dataclass(job: Any, payload: Point) -> None:
    """Take a dataclass."""


def a_list(job: Any, payload: list[Point]) -> None:
    """Take a list of dataclasses."""


def some_bytes(job: Any, payload: bytes) -> None:
    """Take the payload's bytes, whatever they are."""


def an_option(job: Any, payload: Model | None) -> None:
    """Take a model, or nothing."""


def positional_only(job: Any, payload: Model, /) -> None:
    """Take positional arguments only."""


async def a_coroutine(job: Any, payload: Model) -> None:
    """Take a model, as a coroutine."""


@pytest.mark.parametrize(
    ("function", "payload", "expected"),
    [
        (no_payload, None, ()),
        (no_payload, b'{"not": "looked at"}', ()),
        (unannotated, b"[1, null]", ([1, None],)),
        (unannotated, None, (None,)),
        (a_dict, b'{"a": 1}', ({"a": 1},)),
        (a_model, b'{"path": "/"}', (Model(path="/"),)),
        (a_model, b'{"path": "/", "day": "2026-03-02"}', (Model(path="/", day=date(2026, 3, 2)),)),
        (a_dataclass, b'{"x": 1}', (Point(1, 2),)),
        (a_list, b'[{"x": 1}, {"x": 3, "y": 4}]', ([Point(1), Point(3, 4)],)),
        (an_option, None, (None,)),
        (an_option, b"null", (None,)),
        (an_option, b'{"path": "/"}', (Model(path="/"),)),
        (positional_only, b'{"path": "/"}', (Model(path="/"),)),
        (a_coroutine, b'{"path": "/"}', (Model(path="/"),)),
    ],
)
def test_payload_is_what_the_annotation_says(
    function: Callable[..., Any], payload: bytes | None, expected: tuple[Any, ...]
) -> None:
    """The second parameter's annotation decides what a handler is given."""
    assert Handler.of("a.job", function).arguments(request(payload)) == expected


@pytest.mark.parametrize(
    ("payload", "media_type", "expected"),
    [
        (None, "", b""),
        (b"", "text/plain", b""),
        (b"\x00\xff", "application/octet-stream", b"\x00\xff"),
        (b'{"a": 1}', "application/json", b'{"a": 1}'),
    ],
)
def test_handler_of_bytes_gets_them_unchanged(
    payload: bytes | None, media_type: str, expected: bytes
) -> None:
    """A handler that takes bytes gets them untouched, of any media type; none are empty."""
    handler = Handler.of("a.job", some_bytes)
    assert handler.arguments(request(payload, media_type)) == (expected,)


def test_coroutine_functions_are_recognised() -> None:
    """A coroutine function is recognised, and a plain one is not."""
    assert Handler.of("a.job", a_coroutine).is_async
    assert not Handler.of("a.job", a_model).is_async


def local_annotation() -> Callable[..., Any]:
    """Return a handler whose annotation names a class that only this function knows."""

    class Local(BaseModel):
        pass

    def handler(job: Any, payload: Local) -> None:
        """Take what cannot be found by its name."""

    return handler


class Service:
    """A service whose methods and instances are offered as handlers."""

    def method(self, job: Any) -> None:
        """Take the job."""

    def steps(self, job: Any) -> Any:
        """Be a generator."""
        yield job

    async def __call__(self, job: Any, payload: Model) -> None:
        """Take a model, as a coroutine."""


def generator(job: Any) -> Any:
    """Yield something."""
    yield job


async def async_generator(job: Any) -> Any:
    """Yield something."""
    yield job


def swapped(payload: Model, job: JobContext) -> None:
    """Take both in the wrong order."""


class Incomplete(BaseModel):
    """A model that refers to nothing."""

    other: Missing  # type: ignore[name-defined]  # noqa: F821


def only_payload(payload: Model | None) -> None:
    """Take a payload and no job."""


def only_list(paths: list[str]) -> None:
    """Take a payload and no job."""


def nothing_known(job: Any, payload: Missing) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Take what is not defined anywhere."""


def no_expression(job: Any, payload: Any) -> None:
    """Take what the annotation cannot say."""


no_expression.__annotations__["payload"] = "dict[str, "


def incomplete(job: Any, payload: list[Incomplete]) -> None:
    """Take models that refer to nothing."""


def stored(job: Any, payload: Model, *, store: str) -> None:
    """Take more than a worker has."""


SHAPE = r"must take \(job\) or \(job, payload\), and beyond that only what is Annotated"
NOT_THE_JOB = r"is annotated .*: write \(job: JobContext, payload: …\)"
BAD: list[tuple[Any, str]] = [
    (lambda: None, f"the handler of 'a.job', .*<lambda>, {SHAPE}"),
    (lambda _job, _payload, _more: None, SHAPE),
    (lambda _job, _payload, _more=1: None, SHAPE),
    (lambda *_jobs: None, rf"takes \*_jobs, and {SHAPE}.*\. In a decorator, put functools.wraps"),
    (lambda _job, **_more: None, r"takes \*\*_more"),
    (stored, "stored, has the parameter 'store', which has no value: give it a default"),
    (generator, "generator, is a generator .* return that; report steps with job.progress"),
    (async_generator, "async_generator, is a generator"),
    (functools.partial(generator), "is a generator"),
    (Service().steps, "Service.steps, is a generator"),
    (Service, "Service, is a class: decorate a function"),
    (Point, "Point, is a class"),
    (Service.method, r"a method without its object: .*worker\.job\(…\)\(instance\.method"),
    (Service.__dict__, "cannot be called"),
    (print, r"takes \*args"),
    (swapped, f"'payload' {NOT_THE_JOB}"),
    (only_payload, f"'payload' {NOT_THE_JOB}"),
    (only_list, f"'paths' {NOT_THE_JOB}"),
    (local_annotation(), "annotations of .*handler, cannot be read: name 'Local' is not defined"),
    (nothing_known, "nothing_known, cannot be read: name 'Missing' is not defined. Define or im"),
    (no_expression, "no_expression, cannot be read: "),
    (incomplete, "incomplete, cannot be read: .*Incomplete.* refers to 'Missing', which is not d"),
]


@pytest.mark.parametrize(("function", "words"), BAD)
def test_other_signatures_are_refused_at_start(function: Callable[..., Any], words: str) -> None:
    """A function that cannot be a handler is an error when it is registered, and it is named."""
    with pytest.raises(ConfigurationError, match=words):
        Worker("g").job("a.job")(function)


def test_payload_type_without_json_form_is_refused_at_start() -> None:
    """A class that no JSON can become is named, with what can be used instead."""

    def handler(job: Any, payload: Opaque) -> None:
        """Take what cannot be."""

    with pytest.raises(ConfigurationError, match=r"handler, cannot be .*Opaque.*: use a pydantic"):
        Handler.of("a.job", handler)


@pytest.mark.parametrize(
    "late",
    [
        "JobContext",
        "NeverImported",
        JobContext,
        JobContext | None,
        Annotated[JobContext, "ours"],
        TypeVar("T"),
        object,
        Any,
    ],
)
def test_annotation_of_the_job_may_be_anything_that_it_is(late: Any) -> None:
    """Also a name that only type checkers import."""

    def handler(job: Any) -> None:
        """Take the job."""

    handler.__annotations__["job"] = late
    assert Handler.of("a.job", handler).payload is None


def test_methods_and_callable_objects_can_be_handlers() -> None:
    """By what a call of them runs: their signature, and whether that is a coroutine."""
    assert Handler.of("a.job", Service().method).arguments(request()) == ()
    handler = Handler.of("a.job", Service())
    assert handler.is_async
    assert handler.arguments(request(b'{"path": "/"}')) == (Model(path="/"),)
    with pytest.raises(ConfigurationError, match=r"_with_opaque.*cannot be given .*Opaque"):
        Handler.of("a.job", functools.partial(_with_opaque, Service()))


def _with_opaque(service: Service, job: Any, payload: Opaque) -> None:
    """Take what has no JSON form."""


async def adds(job: JobContext, payload: int = 1, *, more: int = 0) -> int:
    """Return the payload and more, from the event loop."""
    await asyncio.sleep(0)
    return payload + more


class Adds:
    """A service that is a handler itself, and a coroutine."""

    async def __call__(self, job: JobContext, payload: int) -> int:
        """Return the payload."""
        return await adds(job, payload)


def undeclared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function, as many libraries do: with a plain function around it."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


@pytest.mark.parametrize(
    "function",
    [
        lambda job, payload: adds(job, payload + 0),
        undeclared(adds),
        undeclared(undeclared(adds)),
        functools.partial(adds, more=0),
        functools.partial(undeclared(adds), more=0),
        Adds(),
        Adds().__call__,
        undeclared(Adds()),
    ],
)
def test_coroutine_is_awaited_whatever_is_around_it(function: Any) -> None:
    """Also if only the call shows that there is one: of a lambda, or of a decorator."""
    assert run_job(Handler.of("a.job", function), request(b"7"))[-1].result == b"7"


def test_coroutine_of_a_decorator_can_be_stopped() -> None:
    """It gets the CancelledError of any other coroutine, and may clean up."""
    cleaned_up: list[str] = []

    async def waits(job: JobContext) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned_up.append(str(job.stop_reason))

    ended = run_job(Handler.of("a.job", undeclared(waits)), cancel_after=0)[-1]
    assert ended.state == JobState.CANCELLED
    assert cleaned_up in ([], ["cancelled"])  # a cancel may come before the start


def test_asynchronous_generator_that_is_returned_fails_its_job_with_advice() -> None:
    """Only its call shows that a lambda returns one: the job says what to write instead."""
    function = lambda job: (each async for each in async_generator(job))  # noqa: E731
    error = run_job(Handler.of("a.job", function))[-1].error
    assert error is not None
    assert (error.type, error.retryable) == ("result_not_serialisable", False)
    assert "that is not awaited: write 'async def'" in error.message


def test_generator_that_is_returned_runs_as_part_of_the_handler() -> None:
    """Its items are the result, and what it raises is the handler's error, with its traceback."""
    ended = run_job(Handler.of("a.job", lambda _: (n * n for n in range(3))))[-1]
    assert ended.result == b"[0,1,4]"
    error = run_job(Handler.of("a.job", lambda _: (1 // n for n in range(3))))[-1].error
    assert error is not None
    assert (error.type, error.retryable) == ("ZeroDivisionError", True)
    assert "Traceback" in (error.details or "")


def test_parameter_that_a_partial_has_filled_is_kept() -> None:
    """A worker fills the job and the payload; what has a value by its name keeps it."""
    handler = Handler.of("a.job", functools.partial(adds, more=2))
    assert run_job(handler, request(b"5"))[-1].result == b"7"


def test_job_type_has_one_handler() -> None:
    """A second handler of a type is refused: nobody could say which one runs."""
    worker = Worker("g")
    worker.job("a.job")(no_payload)
    with pytest.raises(ConfigurationError, match=r"'a\.job' already has a handler"):
        worker.job("a.job")(a_model)


@pytest.mark.parametrize(
    ("function", "payload", "words"),
    [
        (a_model, b'{"path": 1}', "does not fit a.job: path: Input should be a valid string"),
        (a_model, b"{}", "path: Field required"),
        (a_model, b'{"path": "/", "day": "soon"}', "day: "),
        (a_model, b"{}{", "payload: Invalid JSON"),
        (a_model, None, "payload: Input should be an object"),
        (a_dict, b'{"a": 1, "b": "x"}', "b: Input should be a valid integer"),
        (a_dataclass, b'{"x": "one", "y": "two"}', "x: Input should be .*; y: Input should be"),
        (a_list, b'[{"x": 1}, {"x": "!"}]', "1.x: Input should be a valid integer"),
        (an_option, b'"text"', "payload: Input should be"),
    ],
)
def test_error_of_an_invalid_payload_names_the_field(
    function: Callable[..., Any], payload: bytes | None, words: str
) -> None:
    """The task is told which field is wrong and how; no retry can mend it."""
    with pytest.raises(ApplicationError, match=words) as caught:
        Handler.of("a.job", function).arguments(request(payload))
    assert caught.value.type == ErrorType.INVALID_PAYLOAD
    assert not caught.value.retryable


def test_payload_value_is_not_repeated_in_the_error() -> None:
    """A rejected payload may hold secrets: the error has the field's name, not its content."""
    with pytest.raises(ApplicationError) as caught:
        Handler.of("a.job", a_dict).arguments(request(b'{"a": "hunter2"}'))
    assert "hunter2" not in str(caught.value)


def test_payload_of_another_media_type_is_refused() -> None:
    """A handler that wants JSON refuses other media types, naming what came."""
    with pytest.raises(
        ApplicationError, match=r"a\.job accepts JSON, but the payload is 'text/plain'"
    ):
        Handler.of("a.job", a_model).arguments(request(b"hello", "text/plain"))
