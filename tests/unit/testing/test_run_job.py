"""``run_job`` runs a handler as a worker does, without a broker."""

from __future__ import annotations

import asyncio
import re
import textwrap
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel

from kafka_bridge.protocol.errors import InvalidMessage, PayloadNotSerialisable
from kafka_bridge.protocol.messages import JobState, Progress, utc_now
from kafka_bridge.testing import FakeClock, run_job
from kafka_bridge.worker import ApplicationError, Backoff, JobContext, Worker
from kafka_bridge.worker.runtime import reporter

S = JobState
worker = Worker("test")


class Order(BaseModel):
    """A payload."""

    number: int


@worker.job("double")
def double(job: JobContext, payload: Order) -> dict[str, int]:
    """Publish progress, and double."""
    job.progress(1, total=1, unit="numbers")
    return {"double": payload.number * 2}


@worker.job("double.async")
async def double_async(job: JobContext, payload: Order) -> dict[str, int]:
    """Double, as a coroutine."""
    await asyncio.sleep(0)
    return {"double": payload.number * 2}


@worker.job("refuse", retries=1, backoff=Backoff(initial_interval=0, jitter=0))
def refuse(job: JobContext) -> None:
    """Fail with an error type, also in the retry."""
    raise ApplicationError("no such table", type="table_missing")


@worker.job("patient")
def patient(job: JobContext) -> None:
    """Sleep until told to stop."""
    job.sleep(60)


@worker.job("stubborn")
def stubborn(job: JobContext) -> str:
    """Finish although told to stop."""
    while not job.stop_requested:
        time.sleep(0.01)
    return "done"


@worker.job("clumsy")
def clumsy(job: JobContext) -> None:
    """Fail in the clean-up when told to stop."""
    try:
        job.sleep(60)
    finally:
        raise OSError("the disk is full")


@pytest.mark.parametrize("job_type", ["double", "double.async"])
@pytest.mark.parametrize("payload", [{"number": 21}, Order(number=21)])
def test_outcome_is_that_of_the_task(job_type: str, payload: Any) -> None:
    """The payload is validated, the result is a JSON value, the events are in order."""
    outcome = run_job(worker, job_type, payload)
    assert (outcome.state, outcome.result, outcome.error) == (S.SUCCEEDED, {"double": 42}, None)
    assert [event.sequence for event in outcome.events] == list(range(len(outcome.events)))
    assert outcome.events[0].state is S.ACCEPTED


def test_outcome_has_the_published_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is published at most twice a second; then the latest progress counts."""
    clock = FakeClock()
    monkeypatch.setattr(reporter, "time", clock)

    def slow(job: JobContext) -> None:
        for done in range(1, 5):
            clock.advance(0.3)
            job.progress(done, total=4, unit="steps")

    steps = Worker("steps")
    steps.job("steps")(slow)
    assert run_job(steps, "steps").progress == [Progress(2, 4, "steps"), Progress(4, 4, "steps")]


@pytest.mark.parametrize(
    ("job_type", "payload", "kind", "words"),
    [
        ("refuse", None, "table_missing", "no such table"),
        ("double", {"number": "x"}, "invalid_payload", "number: Input should be a valid integer"),
        ("double", None, "invalid_payload", "payload: Input should be"),
        ("duoble", None, "unknown_job_type", "no handler for job type 'duoble'"),
    ],
)
def test_failed_job_is_an_outcome_and_raises_nothing(
    job_type: str, payload: Any, kind: str, words: str
) -> None:
    """The outcome has the error that the task would get."""
    outcome = run_job(worker, job_type, payload)
    assert (outcome.state, outcome.result) == (S.FAILED, None)
    assert outcome.error is not None
    assert outcome.error.type == kind
    assert words in outcome.error.message


def test_retries_are_made_and_published_as_messages() -> None:
    """The messages are those of the task's log."""
    messages = [event.message for event in run_job(worker, "refuse").events if event.message]
    assert messages == ["Try 1 of 2 failed: table_missing: no such table; retrying in 0.0 s"]


def test_cancelled_job_ends_as_cancelled_or_states_the_request() -> None:
    """A job that stops is CANCELLED; one that ends another way states the stop request."""
    stopped = run_job(worker, "patient", cancel_after=0.05)
    assert (stopped.state, stopped.events[-1].attributes) == (S.CANCELLED, {})
    done, failed = (run_job(worker, each, cancel_after=0.05) for each in ("stubborn", "clumsy"))
    assert (done.state, done.result) == (S.SUCCEEDED, "done")
    assert failed.error is not None
    assert (failed.error.type, failed.error.message) == ("OSError", "the disk is full")
    for outcome in (done, failed):
        assert outcome.events[-1].attributes == {"stop_requested": "cancelled"}


def test_job_is_accepted_before_it_can_be_cancelled() -> None:
    """Also with ``cancel_after=0``, so that the handler receives the cancel."""
    outcome = run_job(worker, "patient", cancel_after=0)
    assert [event.state for event in outcome.events] == [S.ACCEPTED, S.CANCELLED]


def test_unused_cancel_leaves_no_thread() -> None:
    """A thread would keep the process of the test from ending."""
    run_job(worker, "double", {"number": 1}, cancel_after=600)
    left = [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
    for each in left:
        each.join(30)
    assert not any(each.is_alive() for each in left)


def test_request_fields_apply() -> None:
    """For example deadlines."""
    late = run_job(worker, "patient", deadline=utc_now() + timedelta(seconds=0.1))
    assert late.error is not None
    assert late.error.type == "deadline_exceeded"
    overdue = run_job(worker, "patient", expires_at=utc_now() - timedelta(seconds=1))
    assert overdue.error is not None
    assert overdue.error.type == "expired"


def test_payload_without_json_form_raises_in_the_test() -> None:
    """The error names the part."""
    with pytest.raises(PayloadNotSerialisable, match=re.escape("payload['handle'] cannot be")):
        run_job(worker, "double", {"handle": object()})


def test_invalid_request_field_raises_in_the_test() -> None:
    """The error names the field, if it is unknown or invalid."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'prioritty'"):
        run_job(worker, "double", {"number": 1}, prioritty=1)
    with pytest.raises(InvalidMessage, match=r"JobRequest\.attempt"):
        run_job(worker, "double", {"number": 1}, attempt=0)


def test_job_that_does_not_end_raises_timeout() -> None:
    """After the given time; the error has the job."""
    with pytest.raises(TimeoutError, match=r"job [0-9a-f-]{36} \(patient\) did not end within 0.1"):
        run_job(worker, "patient", timeout=0.1)


def test_docstring_example_works(tmp_path: Path) -> None:
    """It is run unchanged, with a service that counts files."""
    service = ModuleType("my_service")
    service.worker = Worker("auditors")  # type: ignore[attr-defined]

    @service.worker.job("files.audit")  # type: ignore[untyped-decorator]
    def audit(job: JobContext, payload: dict[str, str]) -> dict[str, int]:
        return {"files": len(list(Path(payload["path"]).iterdir()))}

    example = textwrap.dedent((run_job.__doc__ or "").partition("::\n")[2].partition(":param")[0])
    names: dict[str, Any] = {"run_job": run_job, "my_service": service}
    exec(example, names)  # noqa: S102  our own docstring
    names["test_audit_counts_files"](tmp_path)


def test_external_id_of_an_earlier_delivery_is_known_to_the_handler() -> None:
    """The handler can read it, and every event has it."""
    worker = Worker("resumers")

    @worker.job("resume")
    def resume(job: JobContext) -> str:
        found = job.external_id or "submitted anew"
        job.set_external_id(found)
        job.message("watching")
        return found

    begun, fresh = run_job(worker, "resume", external_id="batch-7"), run_job(worker, "resume")
    assert (begun.result, fresh.result) == ("batch-7", "submitted anew")
    assert [event.external_id for event in begun.events] == ["batch-7"] * len(begun.events)
    assert (fresh.events[0].external_id, fresh.events[-1].external_id) == (None, fresh.result)
