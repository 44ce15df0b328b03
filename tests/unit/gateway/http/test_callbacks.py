"""Jobs that end with a callback: the service is a real HTTP service, the callbacks are scripted."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import pytest

from kafka_bridge.gateway.http.answer_config import Answer
from kafka_bridge.gateway.http.client import ServiceClient
from kafka_bridge.gateway.http.config import HttpJob
from kafka_bridge.gateway.http.handler import HttpHandler
from kafka_bridge.gateway.http.job_status import ServiceState, StatusReport
from kafka_bridge.gateway.http.service_config import HttpService
from kafka_bridge.gateway.http.status_reports import first_final, read_callback
from kafka_bridge.gateway.mask import Mask
from kafka_bridge.protocol.errors import ReaderClosed
from kafka_bridge.protocol.messages import JobState, Progress
from kafka_bridge.testing import FakeClock
from kafka_bridge.testing.jobs import JobOutcome, run_job
from kafka_bridge.worker import ApplicationError, StopReason, Worker
from unit.gateway.http.conftest import POLLING
from unit.gateway.http.scripted import LONGER_THAN_ANY_TIMEOUT, Reply, ScriptedService
from unit.gateway.started_job import JOB, StartedJob, until

SUBMIT, STATUS = f"POST /jobs/{JOB}", f"GET /jobs/{JOB}"
URL = "http://127.0.0.1:1/callbacks/token-of-this-job"
DONE = {"status": "completed", "result": 5}


class ScriptedCallbacks:
    """Callbacks in order; after the last one there are no more.

    A coroutine among them is awaited before the next one arrives.
    """

    expires_after = 60.0

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.listened_since: list[datetime | None] = []

    def url(self, job_id: str, job_type: str) -> str:
        """Return a URL that nothing calls."""
        assert (job_id, job_type) == (JOB, "work")
        return URL

    @contextlib.asynccontextmanager
    async def listen(
        self, _job_id: str, since: datetime | None
    ) -> AsyncIterator[ScriptedCallbacks]:
        """Receive the scripted callbacks inside the block."""
        self.listened_since.append(since)
        yield self

    async def next(self) -> Any:
        """Return the next callback."""
        while self.script and asyncio.iscoroutine(self.script[0]):
            await self.script.pop(0)
        if not self.script:
            await asyncio.Event().wait()
        return self.script.pop(0)


@pytest.fixture
def do(service: ScriptedService) -> Callable[..., JobOutcome]:
    """Give a function that runs a job in callback mode on the service."""

    def run(callbacks: ScriptedCallbacks, payload: Any = None, **settings: Any) -> JobOutcome:
        arguments = {"external_id": settings.pop("external_id", None)}
        config = {"url": service.url, "mode": "callback", **settings}
        handler = HttpHandler(
            HttpJob.model_validate(config),
            ServiceClient(HttpService(url=service.url)),
            callbacks,
        )
        worker = Worker("gateway")
        worker.job("work")(handler.handle)
        return run_job(worker, "work", payload, correlation_id=JOB, timeout=60.0, **arguments)

    return run


Do = Callable[..., JobOutcome]


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        ({"path": "/data"}, {"path": "/data"}),
        (None, {}),
        ([1, 2], {"payload": [1, 2]}),
    ],
)
def test_submit_has_the_callback_url(
    service: ScriptedService, do: Do, payload: Any, body: dict[str, Any]
) -> None:
    """By default, in the body, beside the job's id; the callback ends the job."""
    service.on(SUBMIT, Reply(status=202))
    callbacks = ScriptedCallbacks(DONE)
    outcome = do(callbacks, payload)
    assert (outcome.state, outcome.result) == (JobState.SUCCEEDED, 5)
    assert service.requests[0].body == {**body, "job_id": JOB, "callback_url": URL}
    assert callbacks.listened_since == [None]


def test_place_of_the_callback_url_can_be_configured(service: ScriptedService, do: Do) -> None:
    """In a header, or under another name in the body."""
    service.on(SUBMIT, Reply(status=202))
    submit = {"headers": {"X-Hook": "{callback_url}"}, "body": "{hook: callback_url}"}
    do(ScriptedCallbacks(DONE), submit=submit)
    assert service.requests[0].body == {"hook": URL}
    assert service.requests[0].headers["X-Hook"] == URL


def test_progress_and_failure_come_as_callbacks(
    service: ScriptedService, do: Do, clock: FakeClock
) -> None:
    """Old progress is ignored: callbacks arrive twice, and out of order."""
    service.on(SUBMIT, Reply(status=202))

    def running(completed: int) -> dict[str, Any]:
        return {"status": "running", "progress": {"completed": completed, "total": 4}}

    failed = {"status": "failed", "error": {"type": "disk_full", "message": "No space"}}
    script: list[Any] = [running(3), running(2), running(2), failed]
    script = [part for callback in script for part in (clock.async_sleep(1), callback)]
    outcome = do(ScriptedCallbacks(*script))
    assert outcome.progress == [Progress(3.0, 4.0)]
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.message) == ("disk_full", "No space")


async def silence(service: ScriptedService) -> None:
    """Let more time pass without a callback than any job waits for one."""
    service.skip(LONGER_THAN_ANY_TIMEOUT)


def test_job_fails_without_callbacks(service: ScriptedService, do: Do) -> None:
    """After the configured time; the failure says what to check."""
    service.on(SUBMIT, Reply(status=202))
    callbacks = ScriptedCallbacks({"status": "running"}, silence(service))
    failed = do(callbacks, silence_timeout=30).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("no_callback", True)
    assert failed.message == (
        "no callback from the service for 30 s. Check that it can reach the public_url of "
        "callbacks, and that it still knows the job; abandoned: no cancel request is configured, "
        "the service may go on with the job"
    )


def test_first_end_of_callbacks_and_polls_counts(service: ScriptedService, do: Do) -> None:
    """With both configured, the job ends with whichever is first."""
    service.on(SUBMIT, Reply(status=202))
    service.on(STATUS, Reply({"status": "running"}), Reply({"status": "completed", "result": 6}))
    assert do(ScriptedCallbacks(), polling=POLLING).result == 6
    service.requests.clear()
    service.on(STATUS, Reply({"status": "running"}))
    polled = until(lambda: service.requests_for(STATUS))
    assert do(ScriptedCallbacks(polled, DONE), polling=POLLING).result == 5


def test_job_of_an_earlier_delivery_receives_earlier_callbacks(
    service: ScriptedService, do: Do
) -> None:
    """It is not submitted again; callbacks since the time of the request are received."""
    callbacks = ScriptedCallbacks(DONE)
    assert do(callbacks, external_id=JOB).result == 5
    assert callbacks.listened_since[0] is not None
    assert not service.requests


def second_delivery(
    service: ScriptedService, callbacks: ScriptedCallbacks, **config: Any
) -> StartedJob:
    """Return a job that an earlier gateway has not finished; it may have submitted it."""
    job_config = HttpJob.model_validate({"url": service.url, "mode": "callback", **config})
    client = ServiceClient(HttpService(url=service.url))
    return StartedJob(HttpHandler(job_config, client, callbacks), delivery=2)


async def test_job_without_external_id_receives_earlier_callbacks(service: ScriptedService) -> None:
    """The first delivery may have died after its submit.

    The job is submitted again: the idempotency key says that it is the same one.
    """
    service.on(SUBMIT, Reply(status=202))
    callbacks = ScriptedCallbacks(DONE)
    job = second_delivery(service, callbacks)
    assert await job.task == 5
    assert callbacks.listened_since == [job.request.created_at]
    assert len(service.requests) == 1


def test_callback_url_in_an_error_is_masked(service: ScriptedService, do: Do) -> None:
    """Its owner may end the job. Services repeat their input in errors."""
    service.on(SUBMIT, Reply({"detail": "unexpected", "input": {"callback_url": URL}}, status=422))
    outcome = do(ScriptedCallbacks())
    assert outcome.error is not None
    assert '"callback_url": "***"' in outcome.error.message
    assert "token-of-this-job" not in repr(outcome)


class Wait:
    """Ends after some time; it needs a moment to end when it is cancelled."""

    def __init__(self, seconds: float, end: StatusReport | Exception) -> None:
        self.seconds = seconds
        self.end = end
        self.has_ended = False

    async def wait(self) -> StatusReport:
        """Return the end, or raise it."""
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            self.has_ended = True
            raise
        if isinstance(self.end, Exception):
            raise self.end
        return self.end


async def test_success_counts_more_than_an_error_at_the_same_time() -> None:
    """In whatever order the event loop runs the tasks."""
    success = StatusReport(ServiceState.SUCCEEDED)
    for _ in range(20):
        ends = [Wait(0, ApplicationError("gave up")), Wait(0, success)]
        assert await first_final(*(each.wait() for each in ends)) is success


async def test_other_waits_have_ended_before_the_job_ends() -> None:
    """A request that is being sent has ended, also if the first end is a failure."""
    late = Wait(30, StatusReport(ServiceState.SUCCEEDED))
    assert (
        await first_final(Wait(0, StatusReport(ServiceState.FAILED)).wait(), late.wait())
    ).state == "failed"
    assert late.has_ended
    late = Wait(30, StatusReport(ServiceState.SUCCEEDED))
    with pytest.raises(ApplicationError, match="gave up"):
        await first_final(late.wait(), Wait(0, ApplicationError("gave up")).wait())
    assert late.has_ended


@pytest.mark.parametrize("odd", [{"status": ["x"]}, {"status": json.loads("[" * 300 + "]" * 300)}])
def test_unreadable_record_does_not_fail_the_job(
    service: ScriptedService, do: Do, odd: Any
) -> None:
    """The receiver refuses such callbacks, but other programs may write to the topic."""
    service.on(SUBMIT, Reply(status=202))
    assert do(ScriptedCallbacks(odd, DONE)).result == 5


def test_url_and_token_are_masked_in_all_events(
    service: ScriptedService, do: Do, clock: FakeClock
) -> None:
    """Their owner can end the job. Services log them, and report what they log."""
    service.on(SUBMIT, Reply(status=202))
    running = {"status": "running", "message": f"will call {URL}", "progress": 1}
    end = {"status": "failed", "error": {"message": f"POST {URL.rpartition('/')[2]}", "type": URL}}
    outcome = do(ScriptedCallbacks(clock.async_sleep(1), running, clock.async_sleep(1), end))
    assert "will call ***" in [event.message for event in outcome.events]
    assert "token-of-this-job" not in repr(outcome.events)
    service.on(SUBMIT, Reply({"detail": URL}, status=400))
    assert "token-of-this-job" not in repr(do(ScriptedCallbacks()).events)


def test_job_without_callbacks_is_cancelled_at_the_service(
    service: ScriptedService, do: Do
) -> None:
    """It does not go on unwatched."""
    service.on(SUBMIT, Reply(status=202)).on(f"DELETE /jobs/{JOB}", Reply())
    cancel = {"method": "DELETE", "path": "/jobs/{external_id}"}
    callbacks = ScriptedCallbacks(silence(service))
    failed = do(callbacks, silence_timeout=30, cancel=cancel).error
    assert failed is not None
    assert failed.type == "no_callback"
    assert failed.message.endswith("; the service cancelled it")


async def test_released_job_is_not_cancelled_at_the_service(service: ScriptedService) -> None:
    """A gateway that stops cannot receive callbacks any more; the next one can."""
    service.on(SUBMIT, Reply(status=202))

    class Closed(ScriptedCallbacks):
        async def next(self) -> Any:
            job.tell(StopReason.RELEASED)
            raise ReaderClosed("the reader is closed")

    cancel = {"method": "DELETE", "path": "/jobs/{external_id}"}
    job = second_delivery(service, Closed(), cancel=cancel)
    with pytest.raises(ApplicationError, match="the reader is closed"):
        await job.task
    assert [each.line for each in service.requests] == [SUBMIT]


def test_flood_of_unreadable_callbacks_does_not_flood_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Other programs may write to the topic; only the first few records are logged."""
    for number in range(1_000):
        assert read_callback(Answer(), {"number": number}, Mask()) is None
    lines = [line for line in caplog.messages if "Ignored a record in the callback topic" in line]
    assert 1 <= len(lines) <= 20
