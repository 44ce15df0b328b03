"""Which functions can be batch handlers, and the words for those that cannot."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Annotated, Any

import pytest

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker import CallNext, Depends, JobContext, Worker
from kafka_bridge.worker.batching import LINGER_SECONDS


def register(function: Callable[..., Any], **options: Any) -> Worker:
    """Register a function as a batch handler."""
    worker = Worker("g")
    worker.job("texts.embed", **{"batch": 32, **options})(function)
    return worker


def both(jobs: list[JobContext], payloads: list[str]) -> list[int]:
    """Take both lists."""
    return [len(each) for each in payloads]


def one_job(job: JobContext) -> str:
    """Depend on one job."""
    return job.correlation_id


def on_one_job(job_id: Annotated[str, Depends(one_job)]) -> str:
    """Depend on it indirectly."""
    return job_id


def depends(jobs: list[JobContext], job_id: Annotated[str, Depends(on_one_job)]) -> list[Any]:
    """Have a dependency that takes one job."""
    return []


def jobs_alone(jobs: list[JobContext]) -> list[Any]:
    """Take no payloads."""
    return []


def sequences(jobs: Sequence[JobContext], payloads: Sequence[bytes]) -> list[Any]:
    """Take what a list also is."""
    return []


def bare(jobs: list, payloads: list) -> list[Any]:  # type: ignore[type-arg]
    """Say nothing of the items."""
    return []


def unannotated(jobs) -> list[Any]:  # type: ignore[no-untyped-def]
    """Say nothing at all."""
    return []


def nothing() -> list[Any]:
    """Take nothing."""
    return []


def passing(job: JobContext, call_next: CallNext) -> Any:
    """Be a middleware that does nothing."""
    return call_next()


def single(job: JobContext, payload: str) -> list[Any]:
    """Be the handler of one job."""
    return []


def one_payload(jobs: list[JobContext], payload: str) -> list[Any]:
    """Forget that there are several payloads."""
    return []


def other_jobs(jobs: list[str]) -> list[Any]:
    """Take a list of something else."""
    return []


def three(jobs: list[JobContext], payloads: list[str], more: list[str]) -> list[Any]:
    """Ask for too much."""
    return []


@pytest.mark.parametrize("function", [both, jobs_alone, sequences, bare, unannotated])
def test_batch_handler_takes_lists(function: Callable[..., Any]) -> None:
    """Of jobs, and of payloads if it wants them; one batch at a time unless it says otherwise."""
    handler = register(function).handlers["texts.embed"]
    assert handler.batching is not None
    assert (handler.batching.size, handler.batching.linger) == (32, LINGER_SECONDS)
    assert handler.concurrency == 1


def test_linger_and_concurrency_are_as_given() -> None:
    """A linger may be a timedelta."""
    options = {"linger": timedelta(seconds=2), "concurrency": 3, "forward_logs": "off"}
    handler = register(both, **options).handlers["texts.embed"]
    assert handler.batching is not None
    assert (handler.batching.linger, handler.concurrency) == (2.0, 3)


@pytest.mark.parametrize(
    ("function", "options", "words"),
    [
        (both, {"batch": 0}, "batch of 'texts.embed' must be a whole number, 1 or more, not 0"),
        (both, {"batch": "32"}, "must be a whole number, 1 or more, not '32'"),
        (both, {"batch": True}, "must be a whole number, 1 or more, not True"),
        (both, {"linger": -1}, "linger of 'texts.embed' must be 0 s or more, and finite"),
        (both, {"linger": math.inf}, "must be 0 s or more, and finite"),
        (both, {"batch": None, "linger": 1}, "linger of 'texts.embed' needs batch=…"),
        (both, {"forward_logs": "INFO"}, "has both batch=… and forward_logs"),
        (both, {"process": True}, "has both batch=… and process=True"),
        (single, {}, "so it gets a list of jobs, but 'job' is annotated"),
        (other_jobs, {}, "so it gets a list of jobs, but 'jobs' is annotated"),
        (one_payload, {}, "so it gets a list of payloads, but asks for <class 'str'>"),
        (three, {}, r"must take \(jobs\) or \(jobs, payloads\)"),
        (nothing, {}, r"must take \(jobs\) or \(jobs, payloads\)"),
        (depends, {}, "but one_job takes one job: call it in the handler"),
    ],
)
def test_what_cannot_be_a_batch_handler_is_refused_in_words(
    function: Callable[..., Any], options: dict[str, Any], words: str
) -> None:
    """At registration, before a job could meet it."""
    with pytest.raises(ConfigurationError, match=words):
        register(function, **options)


def test_middleware_and_a_batch_handler_exclude_each_other() -> None:
    """In either order: a middleware surrounds the call for one job, and there is none."""
    worker = register(both)
    with pytest.raises(ConfigurationError, match="batch=…, and its worker has middleware"):
        worker.middleware(passing)
    worker = Worker("g")
    worker.middleware(passing)
    with pytest.raises(ConfigurationError, match="a worker of its own, with its own group_id"):
        worker.job("texts.embed", batch=2)(both)
    assert worker.handlers == {}
