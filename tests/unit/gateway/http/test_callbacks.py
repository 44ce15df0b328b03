"""Jobs whose end a service calls back, by a real HTTP service; the callbacks are put in by hand."""

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
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import ReaderClosed
from kafka_bridge.protocol.messages import JobRequest, JobState, Progress, utc_now
from kafka_bridge.testing.jobs import CollectedEvents, JobOutcome, run_job
from kafka_bridge.worker import ApplicationError, JobContext, StopReason, Worker
from kafka_bridge.worker.cancellation import StopSignal
from kafka_bridge.worker.runtime.reporter import JobReporter
from unit.gateway.http.conftest import JOB, QUICK
from unit.gateway.http.scripted import Says, Scripted

SUBMIT, STATUS = f"POST /jobs/{JOB}", f"GET /jobs/{JOB}"
URL = "http://127.0.0.1:1/callbacks/token-of-this-job"
DONE = {"status": "completed", "result": 5}


class GivenCallbacks:
    """Callbacks as a test gives them: a number is a pause; after the last one there are no more."""

    expires_after = 60.0

    def __init__(self, *given: Any) -> None:
        self.given = list(given)
        self.listened_since: list[datetime | None] = []

    def url(self, job_id: str, job_type: str) -> str:
        """Return a URL that nobody calls."""
        assert (job_id, job_type) == (JOB, "work")
        return URL

    @contextlib.asynccontextmanager
    async def listen(self, _job_id: str, since: datetime | None) -> AsyncIterator[GivenCallbacks]:
        """Hear what is given."""
        self.listened_since.append(since)
        yield self

    async def next(self) -> Any:
        """Return the next one."""
        if self.given and isinstance(self.given[0], float):
            await asyncio.sleep(self.given.pop(0))
        if not self.given:
            await asyncio.Event().wait()
        return self.given.pop(0)


@pytest.fixture
def do(service: Scripted) -> Callable[..., JobOutcome]:
    """Give a function that has the service do a job that it calls back about."""

    def run(callbacks: GivenCallbacks, payload: Any = None, **settings: Any) -> JobOutcome:
        arguments = {"external_id": settings.pop("external_id", None)}
        config = {"url": service.url, "mode": "callback", **settings}
        handler = HttpHandler(
            HttpJob.model_validate(config),
            ServiceClient(HttpService(url=service.url)),
            callbacks,
        )
        worker = Worker("gateway")
        worker.job("work")(handler.handle)
        return run_job(worker, "work", payload, correlation_id=JOB, timeout=20.0, **arguments)

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
def test_service_is_told_where_to_call_back(
    service: Scripted, do: Do, payload: Any, body: dict[str, Any]
) -> None:
    """By default the body has the URL and the job's id in it; the end is what is called back."""
    service.on(SUBMIT, Says(status=202))
    callbacks = GivenCallbacks(DONE)
    outcome = do(callbacks, payload)
    assert (outcome.state, outcome.result) == (JobState.SUCCEEDED, 5)
    assert service.asked[0].body == {**body, "job_id": JOB, "callback_url": URL}
    assert callbacks.listened_since == [None]


def test_url_goes_where_the_file_says(service: Scripted, do: Do) -> None:
    """A header, say, or another name in the body."""
    service.on(SUBMIT, Says(status=202))
    submit = {"headers": {"X-Hook": "{callback_url}"}, "body": "{hook: callback_url}"}
    do(GivenCallbacks(DONE), submit=submit)
    assert service.asked[0].body == {"hook": URL}
    assert service.asked[0].headers["X-Hook"] == URL


def test_progress_and_failure_are_called_back(service: Scripted, do: Do) -> None:
    """What is old is left out: callbacks come twice, and out of order."""
    service.on(SUBMIT, Says(status=202))

    def running(completed: int) -> dict[str, Any]:
        return {"status": "running", "progress": {"completed": completed, "total": 4}}

    failed = {"status": "failed", "error": {"type": "disk_full", "message": "No space"}}
    outcome = do(GivenCallbacks(running(3), running(2), 1.5, running(2), 0.6, failed))
    assert outcome.progress == [Progress(3.0, 4.0)]
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.message) == ("disk_full", "No space")


def test_job_fails_when_the_service_never_calls_back(service: Scripted, do: Do) -> None:
    """After as long as the file says, as a failure that says what to look at."""
    service.on(SUBMIT, Says(status=202))
    failed = do(GivenCallbacks({"status": "running"}), silence_timeout=0.3).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("no_callback", True)
    assert failed.message == (
        "no callback from the service for 0.3 s. Check that it can reach the public_url of "
        "callbacks, and that it still knows the job; abandoned: no cancel request is configured, "
        "the service may go on with the job"
    )


def test_polling_is_what_callbacks_fall_back_to(service: Scripted, do: Do) -> None:
    """Where the file has both, the first end that is heard of counts."""
    service.on(SUBMIT, Says(status=202))
    service.on(STATUS, Says({"status": "running"}), Says({"status": "completed", "result": 6}))
    assert do(GivenCallbacks(), polling=QUICK).result == 6
    service.on(STATUS, Says({"status": "running"}))
    assert do(GivenCallbacks(0.2, DONE), polling=QUICK).result == 5


def test_job_of_an_earlier_delivery_hears_what_has_come_since(service: Scripted, do: Do) -> None:
    """It is not submitted again; callbacks are looked for from the request's time on."""
    callbacks = GivenCallbacks(DONE)
    assert do(callbacks, external_id=JOB).result == 5
    assert callbacks.listened_since[0] is not None
    assert not service.asked


def second_delivery(stop: StopSignal) -> JobContext:
    """Return a job in the hands of its second gateway; what it publishes is dropped."""
    request = JobRequest(
        correlation_id=JOB,
        job_type="work",
        payload=None,
        payload_type=None,
        response_topic="jobs.responses",
        created_at=utc_now(),
    )
    reporter = JobReporter(
        CollectedEvents(),
        request,
        Encoding.AVRO,
        "worker",
        may_publish=lambda: True,
        delivery=2,
    )
    return JobContext(request, reporter, stop)


async def test_job_whose_first_delivery_died_as_it_submitted(service: Scripted) -> None:
    """What it has called back since the request is looked for, though its external id is unknown.

    It is submitted again: the idempotency key says that it is the same one.
    """
    service.on(SUBMIT, Says(status=202))
    callbacks = GivenCallbacks(DONE)
    config = HttpJob.model_validate({"url": service.url, "mode": "callback"})
    job = second_delivery(StopSignal())
    handler = HttpHandler(config, ServiceClient(HttpService(url=service.url)), callbacks)
    assert await handler.handle(job, None) == 5
    assert callbacks.listened_since == [job.request.created_at]
    assert len(service.asked) == 1


def test_callback_url_is_never_told(service: Scripted, do: Do) -> None:
    """Who has it may end the job; a service that sends its input back does not give it away."""
    service.on(SUBMIT, Says({"detail": "unexpected", "input": {"callback_url": URL}}, status=422))
    outcome = do(GivenCallbacks())
    assert outcome.error is not None
    assert '"callback_url": "***"' in outcome.error.message
    assert "token-of-this-job" not in repr(outcome)


class Waits:
    """Ends after a while; knows that it was cancelled and has tidied up."""

    def __init__(self, seconds: float, end: StatusReport | Exception) -> None:
        self.seconds = seconds
        self.end = end
        self.is_tidy = False

    async def wait(self) -> StatusReport:
        """Return the end, or raise it."""
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            self.is_tidy = True
            raise
        if isinstance(self.end, Exception):
            raise self.end
        return self.end


async def test_of_two_ends_that_come_together_the_success_counts() -> None:
    """Whichever task the loop happens to look at first."""
    success = StatusReport(ServiceState.SUCCEEDED)
    for _ in range(20):
        ends = [Waits(0, ApplicationError("gave up")), Waits(0, success)]
        assert await first_final(*(each.wait() for each in ends)) is success


async def test_who_waits_no_longer_has_ended() -> None:
    """A request on its way is over before the job is: also where the first end is a failure."""
    late = Waits(30, StatusReport(ServiceState.SUCCEEDED))
    assert (
        await first_final(Waits(0, StatusReport(ServiceState.FAILED)).wait(), late.wait())
    ).state == "failed"
    assert late.is_tidy
    late = Waits(30, StatusReport(ServiceState.SUCCEEDED))
    with pytest.raises(ApplicationError, match="gave up"):
        await first_final(late.wait(), Waits(0, ApplicationError("gave up")).wait())
    assert late.is_tidy


@pytest.mark.parametrize("odd", [{"status": ["x"]}, {"status": json.loads("[" * 300 + "]" * 300)}])
def test_record_that_nobody_can_read_costs_no_job(service: Scripted, do: Do, odd: Any) -> None:
    """The receiver refuses such callbacks, but others may write to the topic."""
    service.on(SUBMIT, Says(status=202))
    assert do(GivenCallbacks(odd, DONE)).result == 5


def test_url_and_token_are_never_shown(service: Scripted, do: Do) -> None:
    """Who has them can end the job: services log them, and report what they log."""
    service.on(SUBMIT, Says(status=202))
    said = {"status": "running", "message": f"will call {URL}", "progress": 1}
    end = {"status": "failed", "error": {"message": f"POST {URL.rpartition('/')[2]}", "type": URL}}
    outcome = do(GivenCallbacks(said, 0.6, end))
    assert "token-of-this-job" not in repr(outcome.events)
    service.on(SUBMIT, Says({"detail": URL}, status=400))
    assert "token-of-this-job" not in repr(do(GivenCallbacks()).events)


def test_silent_service_is_told_to_cancel(service: Scripted, do: Do) -> None:
    """Who gives a job up does not leave it to run."""
    service.on(SUBMIT, Says(status=202)).on(f"DELETE /jobs/{JOB}", Says())
    cancel = {"method": "DELETE", "path": "/jobs/{external_id}"}
    failed = do(GivenCallbacks(), silence_timeout=0.2, cancel=cancel).error
    assert failed is not None
    assert failed.type == "no_callback"
    assert failed.message.endswith("; the service cancelled it")


async def test_job_that_is_handed_over_is_not_cancelled_there(service: Scripted) -> None:
    """A gateway that stops can no longer hear callbacks; the next one can."""
    service.on(SUBMIT, Says(status=202))
    stop = StopSignal()

    class Closed(GivenCallbacks):
        async def next(self) -> Any:
            stop.set(StopReason.RELEASED, "the gateway stops")
            raise ReaderClosed("the reader is closed")

    cancel = {"method": "DELETE", "path": "/jobs/{external_id}"}
    config = HttpJob.model_validate({"url": service.url, "mode": "callback", "cancel": cancel})
    handler = HttpHandler(config, ServiceClient(HttpService(url=service.url)), Closed())
    with pytest.raises(ApplicationError, match="the reader is closed"):
        await handler.handle(second_delivery(stop), None)
    assert [each.line for each in service.asked] == [SUBMIT]


def test_flood_of_unreadable_callbacks_does_not_flood_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Others may write to the topic: the first few are named."""
    for number in range(1_000):
        assert read_callback(Answer(), {"number": number}, Mask()) is None
    lines = [line for line in caplog.messages if "Ignored a record in the callback topic" in line]
    assert 1 <= len(lines) <= 20
