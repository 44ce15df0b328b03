"""What a handler may save of its job, and what another delivery finds."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from kafka_bridge.protocol.checkpoint import CHECKPOINT, CHECKPOINT_BYTES
from kafka_bridge.protocol.log_lines import LOG_LINES
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.testing import run_batch, run_job
from kafka_bridge.worker import ApplicationError, JobContext, Worker
from kafka_bridge.worker.checkpoints import to_text

worker = Worker("resumers", worker_id="w-1")


@dataclass
class Place:
    """Where a handler is."""

    page: int
    day: date


@worker.job("pages")
def pages(job: JobContext, payload: int) -> list[int]:
    """Do the pages that are not done yet."""
    begin = (job.checkpoint or {"page": 0})["page"]
    for page in range(begin, payload):
        job.save_checkpoint({"page": page + 1})
    return list(range(begin, payload))


@worker.job("pages.async")
async def pages_async(job: JobContext, payload: int) -> list[int]:
    """Do the same in a coroutine."""
    await asyncio.sleep(0)
    done: list[int] = pages(job, payload)
    return done


@worker.job("saves")
def saves(job: JobContext, payload: Any) -> Any:
    """Save the payload, then clear it."""
    job.save_checkpoint(payload)
    found = job.checkpoint
    job.save_checkpoint(None)
    assert job.checkpoint is None
    return found


@pytest.mark.parametrize("job_type", ["pages", "pages.async"])
def test_next_delivery_continues_at_the_checkpoint(job_type: str) -> None:
    """The latest one is published before the job ends, whatever its handler is."""
    first = run_job(worker, job_type, 500)
    assert (first.result, first.checkpoint) == (list(range(500)), {"page": 500})
    assert len(first.events) < 20, "not every checkpoint is an event"
    again = run_job(worker, job_type, 502, checkpoint={"page": 500})
    assert (again.result, again.checkpoint) == ([500, 501], {"page": 502})


def test_every_event_but_the_terminal_one_repeats_the_checkpoint() -> None:
    """A worker that takes over sees recent events; a finished job needs none."""
    events = run_job(worker, "pages", 3, checkpoint={"page": 3}).events
    assert [event.attributes for event in events] == [{CHECKPOINT: '{"page":3}'}, {}]


def test_checkpoint_is_no_line_in_the_log_of_the_task() -> None:
    """Its events are like heartbeats."""
    events = run_job(worker, "pages", 3).events
    assert [event.state for event in events][1:-1] == [JobState.RUNNING] * (len(events) - 2)
    assert all(event.message is None and event.progress is None for event in events)


@pytest.mark.parametrize("value", [0, "", [], {"a": [1.5, None, "ä"]}, False])
def test_any_json_value_comes_back(value: Any) -> None:
    """Empty values, too; None clears the checkpoint."""
    outcome = run_job(worker, "saves", value)
    assert outcome.result == value
    assert outcome.checkpoint is None


def test_objects_come_back_as_json() -> None:
    """As a result would."""
    assert to_text(Place(7, date(2026, 3, 1))) == '{"page":7,"day":"2026-03-01"}'


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (object(), "checkpoint_not_serialisable", "checkpoint cannot be written as JSON"),
        ({"a": [math.nan]}, "checkpoint_not_serialisable", "checkpoint['a'][0] cannot be"),
        ("\ud800", "checkpoint_not_serialisable", "cannot be written as JSON"),
        (b"raw", "checkpoint_not_serialisable", "save text, such as base64"),
        ("ä" * 2_000, "checkpoint_too_large", "it has 4,002 bytes as JSON, and 4,000 are allowed"),
    ],
)
def test_value_that_cannot_be_saved_is_an_error_and_the_one_before_is_kept(
    value: Any, kind: str, words: str
) -> None:
    """The handler may catch it; if it does not, the job fails with it and is not retried."""
    stubborn = Worker("resumers")

    @stubborn.job("refused")
    def refused(job: JobContext) -> None:
        job.save_checkpoint(value)

    outcome = run_job(stubborn, "refused", checkpoint=[1])
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.retryable) == (kind, False)
    assert "the one before is kept" in outcome.error.message
    assert words in outcome.error.message
    assert outcome.checkpoint == [1]


def test_largest_checkpoint_is_saved() -> None:
    """The limit counts bytes of UTF-8."""
    value = "ä" * (CHECKPOINT_BYTES // 2 - 1)
    assert run_job(worker, "saves", value).result == value


def test_checkpoint_that_is_not_json_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    """Another worker has written it: the handler begins at the beginning, and the log says why."""
    context = JobContext(Any, _Events("{page"), Any)  # type: ignore[arg-type]
    assert context.checkpoint is None
    assert "not JSON" in context._events.said  # type: ignore[attr-defined]


class _Events:
    """Events of a job whose earlier delivery has saved this."""

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint
        self.said = ""

    def complain(self, _field: str, fault: str) -> None:
        """Note a complaint."""
        self.said = fault


def test_run_job_refuses_a_checkpoint_that_no_handler_could_have_saved() -> None:
    """The test would show what cannot happen."""
    with pytest.raises(ApplicationError, match="4,000 are allowed"):
        run_job(worker, "saves", 1, checkpoint="x" * 4_000)


def test_event_with_log_lines_has_the_checkpoint_too() -> None:
    """Both are attributes of the same event."""

    def logs(job: JobContext) -> None:
        job.save_checkpoint(7)
        logging.getLogger("a_service").warning("halfway")

    both = Worker("both", forward_logs="INFO")
    both.job("logs")(logs)
    *_, lines, _ = run_job(both, "logs").events
    assert lines.attributes == {CHECKPOINT: "7", LOG_LINES: "WARNING halfway"}


def test_each_job_of_a_batch_has_a_checkpoint_of_its_own() -> None:
    """A batch that is delivered again may have other jobs."""

    def save(jobs: list[JobContext], payloads: list[int]) -> list[int]:
        for job, payload in zip(jobs, payloads, strict=True):
            job.save_checkpoint(payload)
        return payloads

    batches = Worker("batches")
    batches.job("saves.together", batch=2)(save)
    for number, outcome in enumerate(run_batch(batches, "saves.together", [0, 1])):
        assert [each.attributes for each in outcome.events if each.attributes] == [
            {CHECKPOINT: str(number)}
        ]
