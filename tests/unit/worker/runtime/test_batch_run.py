"""A batch whose jobs are asked to stop: before it begins, one of them, or all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobState, StatusEvent
from kafka_bridge.worker import Backoff, JobContext, JobStopped, StopReason
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.retries import RetryPolicy
from kafka_bridge.worker.runtime.batch_run import run_batch, run_batch_async
from kafka_bridge.worker.runtime.event_loop import event_loop
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.surroundings import Surroundings

from ..samples import Collector, accepted_job, request

S = JobState
WAIT_SECONDS = 30.0


class Scene:
    """Jobs that are accepted, and a handler for all of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.collector = Collector()
        self.jobs: list[InFlightJob] = []
        self.sizes: list[int] = []

    def run(self, function: Callable[..., Any], jobs: int = 3, **options: Any) -> list[JobState]:
        """Run a batch; return how its jobs ended."""
        handler = Handler.of("a.job", function, batch=jobs, **options)
        for _ in range(jobs):
            one = replace(request(), correlation_id=new_correlation_id())
            self.jobs.append(accepted_job(lambda _: None, self.collector, one))
            self.jobs[-1].handler = handler
        surroundings = Surroundings(self.loop)
        if handler.is_async:
            run = run_batch_async(self.jobs, surroundings)
            asyncio.run_coroutine_threadsafe(run, self.loop).result(WAIT_SECONDS)
        else:
            run_batch(self.jobs, surroundings)
        return [end.state for end in self.ends]

    @property
    def ends(self) -> list[StatusEvent]:
        """The last event of each job."""
        return [
            [e for e in self.collector.events if e.correlation_id == job.correlation_id][-1]
            for job in self.jobs
        ]

    def stop(self, *places: int, reason: StopReason = StopReason.CANCELLED) -> None:
        """Ask jobs to stop."""
        for place in places:
            self.jobs[place].ask_to_stop(reason, f"no {place}")


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Give an empty scene."""
    with event_loop() as loop:
        yield Scene(loop)


def test_cancelled_job_is_marked_and_the_others_go_on(scene: Scene) -> None:
    """A handler that does not look ends it with a result, as one job's handler does."""

    def handler(jobs: list[JobContext]) -> list[str]:
        scene.stop(1)
        assert [job.stop_requested for job in jobs] == [False, True, False]
        return ["done"] * 3

    assert scene.run(handler) == [S.SUCCEEDED] * 3
    marks = [each.attributes.get("stop_requested") for each in scene.ends]
    assert marks == [None, StopReason.CANCELLED, None]


def test_job_that_stops_by_its_item_is_cancelled(scene: Scene) -> None:
    """``JobStopped`` as an item confirms the stop of this job."""

    def result(job: JobContext) -> Any:
        try:
            job.raise_if_stopped()
        except JobStopped as stopped:
            return stopped
        return "done"

    def handler(jobs: list[JobContext]) -> list[Any]:
        scene.stop(1)
        return [result(job) for job in jobs]

    assert scene.run(handler) == [S.SUCCEEDED, S.CANCELLED, S.SUCCEEDED]
    assert scene.ends[1].message == "no 1"


@pytest.mark.parametrize("is_async", [False, True])
def test_stop_of_one_that_leaves_the_handler_does_not_fail_the_others(
    scene: Scene, *, is_async: bool
) -> None:
    """That one is cancelled, and the handler is called again for the others."""

    def handler(jobs: list[JobContext]) -> list[str]:
        scene.sizes.append(len(jobs))
        scene.stop(2)
        for job in jobs:
            job.raise_if_stopped()
        return ["done"] * len(jobs)

    async def coroutine(jobs: list[JobContext]) -> list[str]:
        return handler(jobs)

    ends = scene.run(coroutine if is_async else handler)
    assert ends == [S.SUCCEEDED, S.SUCCEEDED, S.CANCELLED]
    assert scene.sizes == [3, 2]


def test_stop_that_nobody_asked_for_is_an_error(scene: Scene) -> None:
    """It would otherwise be called again for ever."""

    def handler(jobs: list[JobContext]) -> list[str]:
        raise JobStopped(StopReason.CANCELLED, "my own idea")

    assert scene.run(handler) == [S.FAILED] * 3


def test_job_that_is_stopped_before_the_batch_begins_is_taken_out(scene: Scene) -> None:
    """The handler never gets it. If all are, it is not called."""

    def handler(jobs: list[JobContext]) -> list[str]:
        scene.sizes.append(len(jobs))
        return ["done"] * len(jobs)

    begin, began = InFlightJob.begin, list[int]()

    def stop_the_others(job: InFlightJob) -> bool:
        scene.stop(1, 2)
        return begin(job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InFlightJob, "begin", stop_the_others)
        patch.setattr(Observer, "batch_began", lambda _, __, jobs: began.append(jobs))
        assert scene.run(handler) == [S.SUCCEEDED, S.CANCELLED, S.CANCELLED]
    assert scene.sizes == began == [1]


def test_coroutine_is_cancelled_when_all_have_to_stop(scene: Scene) -> None:
    """While one job wants its result, it goes on; each ends with its own reason."""

    async def handler(jobs: list[JobContext]) -> list[Any]:
        scene.stop(0, 1)
        await asyncio.sleep(0.01)
        scene.stop(2, reason=StopReason.DEADLINE)
        await asyncio.sleep(WAIT_SECONDS)
        return []

    assert scene.run(handler) == [S.CANCELLED, S.CANCELLED, S.FAILED]
    assert [each.message for each in scene.ends[:2]] == ["no 0", "no 1"]
    assert scene.ends[2].error is not None
    assert scene.ends[2].error.type == "deadline_exceeded"


def test_pause_before_a_retry_ends_when_all_have_to_stop(scene: Scene) -> None:
    """And a job that is cancelled in the pause has no part in the next try."""
    soon = RetryPolicy(3, Backoff(0.0, jitter=0))

    def handler(jobs: list[JobContext]) -> list[Any]:
        scene.sizes.append(len(jobs))
        scene.stop(len(jobs) - 1)
        raise ConnectionError("the card is away")

    assert scene.run(handler, retry=soon) == [S.CANCELLED] * 3
    assert scene.sizes == [3, 2, 1]
    scene.jobs.clear()
    late = RetryPolicy(1, Backoff(WAIT_SECONDS, jitter=0))

    def in_pause(jobs: list[JobContext]) -> list[Any]:
        scene.loop.call_soon_threadsafe(scene.loop.call_later, 0.05, scene.stop, 0, 1, 2)
        raise ConnectionError("the card is away")

    assert scene.run(in_pause, retry=late) == [S.CANCELLED] * 3


def test_job_that_another_worker_has_publishes_nothing(scene: Scene) -> None:
    """Its partition was lost while the batch ran; the others end as if nothing had happened."""

    def handler(jobs: list[JobContext]) -> list[str]:
        scene.jobs[0].abandon()
        return ["done"] * 3

    assert scene.run(handler) == [S.ACCEPTED, S.SUCCEEDED, S.SUCCEEDED]


def test_end_that_cannot_be_made_is_that_of_its_job_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other ends are published."""
    end = InFlightJob.end

    def fails_once(job: InFlightJob, outcome: Any) -> None:
        if job is scene.jobs[0]:
            raise MemoryError
        end(job, outcome)

    monkeypatch.setattr(InFlightJob, "end", fails_once)
    assert scene.run(lambda jobs: [1] * len(jobs)) == [S.ACCEPTED, S.SUCCEEDED, S.SUCCEEDED]
