"""A batch as a service's tests run it: each job has an end of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from kafka_bridge.protocol.messages import JobState, utc_now
from kafka_bridge.testing import JobOutcome, run_batch, run_job
from kafka_bridge.worker import (
    ApplicationError,
    Backoff,
    Depends,
    JobContext,
    JobStopped,
    StopReason,
    Worker,
)

S = JobState


class Text(BaseModel):
    """What to embed."""

    text: str


def batch(function: Callable[..., Any], payloads: list[Any], **options: Any) -> list[JobOutcome]:
    """Run a function as a batch handler."""
    run = {each: options.pop(each) for each in ("cancel_after", "deadline") if each in options}
    return run_batch(worker_with(function, **options), "texts.embed", payloads, **run)


def worker_with(function: Callable[..., Any], **options: Any) -> Worker:
    """Return a worker with this batch handler."""
    worker = Worker("g")
    worker.job("texts.embed", **{"batch": 32, **options})(function)
    return worker


def states(outcomes: list[JobOutcome]) -> list[JobState]:
    """Return how each job ended."""
    return [each.state for each in outcomes]


def lengths(jobs: list[JobContext], payloads: list[str]) -> list[Any]:
    """Return how long each text is; an empty one fails, and so does one that no JSON can say."""
    answers = {"": ApplicationError("empty", type="empty_text"), "object": object()}
    return [answers.get(each, len(each)) for each in payloads]


async def lengths_async(jobs: list[JobContext], payloads: list[str]) -> list[Any]:
    """Do the same as a coroutine."""
    await asyncio.sleep(0)
    return lengths(jobs, payloads)


def never(jobs: list[JobContext], payloads: list[Text]) -> list[Any]:
    """Be a handler that must not be called."""
    pytest.fail(f"it was called for {jobs} with {payloads}")


@pytest.mark.parametrize("function", [lengths, lengths_async])
def test_each_job_has_its_own_result_or_error(function: Callable[..., Any]) -> None:
    """In the order of the batch; an exception as an item fails its job alone."""
    good, empty, odd, last = batch(function, ["four", "", "object", "sevenths"])
    assert (good.state, good.result, last.result) == (S.SUCCEEDED, 4, 8)
    assert empty.error is not None
    assert (empty.error.type, empty.error.message) == ("empty_text", "empty")
    assert odd.error is not None
    assert odd.error.type == "result_not_serialisable"


def test_gathered_results_are_what_a_batch_returns() -> None:
    """``asyncio.gather(…, return_exceptions=True)`` has the form that is asked for."""

    async def divide(number: int) -> float:
        return 1 / number

    async def handler(jobs: list[JobContext], payloads: list[int]) -> list[Any]:
        return await asyncio.gather(*map(divide, payloads), return_exceptions=True)

    half, none = batch(handler, [2, 0])
    assert half.result == 0.5
    assert none.error is not None
    assert none.error.type == "ZeroDivisionError"
    assert "divide" in (none.error.details or "")


def test_invalid_payload_fails_only_its_job() -> None:
    """The handler gets the others, as objects of the item's type."""
    seen: list[list[Text]] = []

    def handler(jobs: list[JobContext], payloads: list[Text]) -> list[str]:
        seen.append(payloads)
        both = zip(jobs, payloads, strict=True)
        return [f"{job.correlation_id} {payload.text}" for job, payload in both]

    first, wrong, last = batch(handler, [{"text": "a"}, {"words": "b"}, {"text": "c"}])
    assert seen == [[Text(text="a"), Text(text="c")]]
    assert wrong.error is not None
    assert wrong.error.type == "invalid_payload"
    for outcome, text in ((first, "a"), (last, "c")):
        assert outcome.result == f"{outcome.events[0].correlation_id} {text}"


def test_no_call_without_a_valid_job() -> None:
    """If nothing is left of a batch, there is nothing to call the handler for."""
    outcomes = batch(never, [{"text": "a"}, {"words": "b"}], deadline=utc_now())
    assert states(outcomes) == [S.FAILED, S.FAILED]
    assert states(batch(never, [1])) == [S.FAILED]


def test_raised_exception_fails_all_and_says_so() -> None:
    """The error of each tells that it was not raised for this job alone."""

    def handler(jobs: list[JobContext]) -> list[Any]:
        raise ValueError("no memory on the card")

    outcomes = batch(handler, [None, None])
    errors = [each.error for each in outcomes if each.error is not None]
    assert [each.type for each in errors] == ["ValueError", "ValueError"]
    assert {each.message for each in errors} == {
        "no memory on the card (raised for a batch of 2 jobs)"
    }


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ([1], "a list of 1"),
        ((1, 2, 3), "a list of 3"),
        (None, "a NoneType"),
        ({"a": 1, "b": 2}, "a dict"),
    ],
)
def test_wrong_number_of_results_is_an_error_of_each(returned: Any, words: str) -> None:
    """Nobody knows which result is whose."""

    def handler(jobs: list[JobContext]) -> Any:
        return returned

    for outcome in batch(handler, [None, None]):
        assert outcome.error is not None
        assert outcome.error.type == "invalid_batch_result"
        assert f"returned {words} for a batch of 2 jobs" in outcome.error.message
        assert not outcome.error.retryable


def test_generator_expression_is_a_list_of_results() -> None:
    """As it is for the handler of one job."""

    def handler(jobs: list[JobContext], payloads: list[int]) -> Any:
        return (each * 2 for each in payloads)

    outcomes = batch(handler, [1, 2])
    assert [each.result for each in outcomes] == [2, 4]


def test_more_jobs_than_a_batch_holds_are_more_batches() -> None:
    """None is lost, and no batch is larger than it may be."""
    sizes: list[int] = []

    def handler(jobs: list[JobContext]) -> list[None]:
        sizes.append(len(jobs))
        return [None] * len(jobs)

    assert set(states(batch(handler, [None] * 7, batch=3))) == {S.SUCCEEDED}
    assert sizes == [3, 3, 1]


def test_run_job_runs_a_batch_of_one() -> None:
    """The handler still gets lists."""
    assert run_job(worker_with(lengths, linger=60), "texts.embed", "four").result == 4


def test_jobs_are_cancelled_by_their_place() -> None:
    """The others go on: this handler ends when one of its jobs has to stop, or is not there."""

    def handler(jobs: list[JobContext], payloads: list[str]) -> list[Any]:
        while "b" in payloads and not jobs[payloads.index("b")].stop_requested:
            jobs[0].sleep(0.01)
        return [JobStopped(StopReason.CANCELLED, "seen") if each == "b" else 1 for each in payloads]

    outcomes = batch(handler, ["a", "b", "c"], cancel_after={1: 0.0})
    assert states(outcomes) == [S.SUCCEEDED, S.CANCELLED, S.SUCCEEDED]


def test_time_limit_ends_the_whole_batch() -> None:
    """It is the limit of each job, and all of them began at the same moment."""

    def handler(jobs: list[JobContext]) -> list[Any]:
        while True:
            jobs[0].sleep(1)

    for outcome in batch(handler, [None] * 2, time_limit=timedelta(seconds=0.1)):
        assert outcome.error is not None
        assert outcome.error.type == "time_limit_exceeded"


def test_raised_exception_is_retried_for_the_batch() -> None:
    """Each task's log says so. An exception as an item is the end of its job."""
    calls: list[int] = []

    def handler(jobs: list[JobContext]) -> list[Any]:
        calls.append(len(jobs))
        if len(calls) == 1:
            raise ConnectionError("the card is away")
        return ["done", ValueError("a bad text")]

    good, bad = batch(handler, [None] * 2, retries=2, backoff=Backoff(0.01, jitter=0))
    assert calls == [2, 2]
    for outcome in (good, bad):
        assert any("Try 1 of 3 failed" in (event.message or "") for event in outcome.events)
    assert states([good, bad]) == [S.SUCCEEDED, S.FAILED]


def test_dependency_is_called_once_for_a_batch() -> None:
    """And ends with it."""
    opened: list[str] = []

    def card() -> Iterator[str]:
        opened.append("open")
        yield "card"
        opened.append("close")

    def handler(jobs: list[JobContext], on: Annotated[str, Depends(card)]) -> list[str]:
        return [on] * len(jobs)

    handler.__annotations__["on"] = Annotated[str, Depends(card)]
    assert {each.result for each in batch(handler, [None] * 3)} == {"card"}
    assert opened == ["open", "close"]


def test_reports_are_those_of_each_job() -> None:
    """Progress and external ids are published for the job that reports."""

    def handler(jobs: list[JobContext]) -> list[None]:
        for number, job in enumerate(jobs):
            job.set_external_id(f"row-{number}")
            job.progress(number, total=2)
        return [None] * len(jobs)

    outcomes = batch(handler, [None] * 2)
    assert [each.events[-1].external_id for each in outcomes] == ["row-0", "row-1"]
    assert [each.progress[-1].completed for each in outcomes] == [0, 1]


def test_handler_that_exits_fails_its_jobs_and_not_the_worker() -> None:
    """As it is for one job."""

    def handler(jobs: list[JobContext]) -> list[Any]:
        raise SystemExit(3)

    assert states(batch(handler, [None] * 2)) == [S.FAILED] * 2


def test_batch_is_run_on_one_thread() -> None:
    """One call has one."""
    threads = batch(lambda jobs: [threading.current_thread().name] * len(jobs), [None] * 2)
    assert {each.result for each in threads} == {"kafka-bridge-job"}
