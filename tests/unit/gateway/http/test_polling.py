"""Jobs that are submitted to a service and polled, over real HTTP on loopback."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.gateway import Gateway
from kafka_bridge.gateway.http.client import ServiceClient
from kafka_bridge.gateway.http.config import HttpJob
from kafka_bridge.gateway.http.handler import HttpHandler
from kafka_bridge.gateway.http.service_config import HttpService
from kafka_bridge.protocol.messages import JobState, Progress
from kafka_bridge.testing import FakeClock
from kafka_bridge.testing.jobs import run_job
from kafka_bridge.worker import StopReason
from unit.gateway.http.conftest import POLLING, Do
from unit.gateway.http.scripted import Reply, Request, ScriptedService
from unit.gateway.started_job import JOB, StartedJob, until

RUNNING, DONE = Reply({"status": "running"}), Reply({"status": "completed", "result": {"files": 3}})
SUBMIT, STATUS = f"POST /jobs/{JOB}", f"GET /jobs/{JOB}"
PROGRESS = Reply(
    {
        "status": "running",
        "message": "Reading",
        "progress": {"completed": 1, "total": 4, "unit": "f"},
    }
)


def test_simplest_service_needs_only_a_url(service: ScriptedService, do: Do) -> None:
    """POST submits the job, with its id as the idempotency key; GET returns its status."""
    service.on(SUBMIT, Reply(status=202)).on(STATUS, RUNNING, PROGRESS, DONE)
    outcome = do(payload={"path": "/data"})
    assert (outcome.state, outcome.result) == (JobState.SUCCEEDED, {"files": 3})
    [submit] = service.requests_for(SUBMIT)
    assert submit.body == {"path": "/data"}
    assert submit.headers["Idempotency-Key"] == JOB
    assert len(service.requests_for(STATUS)) == 3
    assert [event.external_id for event in outcome.events][1:] == [JOB] * (len(outcome.events) - 1)


def test_progress_is_published_with_unit_and_message(service: ScriptedService, do: Do) -> None:
    """The progress of each poll is published."""
    service.on(SUBMIT, Reply()).on(STATUS, PROGRESS, DONE)
    outcome = do()
    assert outcome.progress == [Progress(1.0, 4.0, "f")]
    assert "Reading" in [event.message for event in outcome.events]


def test_requests_and_answers_can_be_configured(service: ScriptedService, do: Do) -> None:
    """Paths, methods, headers, bodies, words for states, and where a value is in an answer."""
    service.on("PUT /v1/eu/runs", Reply({"data": {"run": 4711}}, status=201))
    service.on(
        "GET /v1/runs/4711?full=yes",
        Reply({"data": {"phase": "active", "pct": 40}}),
        Reply({"data": {"phase": "ok"}}),
    )
    service.on("GET /v1/runs/4711/output", Reply({"rows": [1, 2]}))
    outcome = do(
        {
            "submit": {
                "method": "PUT",
                "path": "/v1/{payload.region}/runs",
                "headers": {"X-Tenant": "{payload.tenant}"},
                "body": "{key: job_id, files: payload.files[*].name}",
                "idempotency_header": "X-Request-Id",
                "external_id": "data.run",
            },
            "polling": {"path": "/v1/runs/{external_id}?full=yes", **POLLING},
            "answer": {
                "state": "data.phase",
                "succeeded": ["ok"],
                "failed": ["broken"],
                "running": ["active"],
                "progress": {"completed": "data.pct", "total": "`100`", "unit": 'unit || `"%"`'},
            },
            "result": {"path": "/v1/runs/{external_id}/output", "value": "rows"},
        },
        payload={"region": "eu", "tenant": "blue", "files": [{"name": "a"}, {"name": "b"}]},
    )
    assert outcome.result == [1, 2]
    submit = service.requests[0]
    assert submit.body == {"key": JOB, "files": ["a", "b"]}
    assert (submit.headers["X-Tenant"], submit.headers["X-Request-Id"]) == ("blue", JOB)
    assert outcome.events[-1].external_id == "4711"


def test_failure_has_the_error_of_the_service(service: ScriptedService, do: Do) -> None:
    """Its type, message and details, and whether a retry can help."""
    error = {"type": "disk_full", "message": "No space", "details": "on /data", "retryable": False}
    service.on(SUBMIT, Reply()).on(STATUS, Reply({"status": "failed", "error": error}))
    failed = do().error
    assert failed is not None
    assert (failed.type, failed.message, failed.details) == ("disk_full", "No space", "on /data")
    assert not failed.retryable


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"status": "failed", "error": "No space"}, "No space"),
        ({"status": "failed", "message": "No space"}, "No space"),
        ({"status": "failed"}, 'no error message in {"status": "failed"}'),
    ],
)
def test_failure_without_details_has_a_message(
    service: ScriptedService, do: Do, body: object, message: str
) -> None:
    """The message is whatever the service gives as the error; the job is retryable."""
    service.on(SUBMIT, Reply()).on(STATUS, Reply(body))
    failed = do().error
    assert failed is not None
    assert (failed.type, failed.message, failed.retryable) == ("job_failed", message, True)


def test_job_cancelled_at_the_service_fails(service: ScriptedService, do: Do) -> None:
    """A person cancelled it there, so a retry does not help."""
    service.on(SUBMIT, Reply()).on(STATUS, Reply({"status": "cancelled", "message": "by bob"}))
    failed = do().error
    assert failed is not None
    assert failed.message == "the job was cancelled at the service: by bob"
    assert not failed.retryable


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_refused_submit_is_not_retried(service: ScriptedService, do: Do, status: int) -> None:
    """The error has the method, the URL, the status and the body of the answer."""
    service.on(SUBMIT, Reply({"detail": "path is missing"}, status=status))
    failed = do().error
    assert failed is not None
    assert (failed.type, failed.retryable) == (f"http_{status}", False)
    assert failed.message.startswith(f"POST {service.url}/jobs/{JOB}: {status} ")
    assert failed.message.endswith('{"detail": "path is missing"}')
    assert len(service.requests) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_submit_is_retried_after_a_temporary_failure(
    service: ScriptedService, do: Do, status: int
) -> None:
    """Each try has the same idempotency key."""
    service.on(SUBMIT, *[Reply({"detail": "busy"}, status=status)] * 2, Reply()).on(STATUS, DONE)
    outcome = do()
    assert outcome.state is JobState.SUCCEEDED
    submits = service.requests_for(SUBMIT)
    assert [each.headers["Idempotency-Key"] for each in submits] == [JOB] * 3


def test_submit_fails_after_its_last_retry(service: ScriptedService, do: Do) -> None:
    """The failure is retryable by the task."""
    service.on(SUBMIT, Reply({"detail": "down"}, status=503))
    failed = do(service_config={"retries": {"limit": 2, "initial": 0.01, "jitter": 0}}).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("http_503", True)
    assert len(service.requests) == 3


def test_submit_without_an_answer_is_retried(service: ScriptedService, do: Do) -> None:
    """The service closed the connection, or was silent until the timeout."""
    service.on(SUBMIT, Reply(hangs_up=True), Reply(is_silent=True), Reply()).on(STATUS, DONE)
    limits = {"timeout": 30, "retries": {"limit": 2, "initial": 0.01, "jitter": 0}}
    assert do(service_config=limits).state is JobState.SUCCEEDED
    service.on(SUBMIT, Reply(is_silent=True))
    failed = do(service_config=limits).error
    assert failed is not None
    assert failed.type == "http_timeout"
    assert failed.message == f"POST {service.url}/jobs/{JOB}: no answer within 30 s"


def test_unreachable_service_is_an_error_with_its_url(do: Do) -> None:
    """No process listens there; the error is retryable."""
    failed = do(service_config={"url": "http://127.0.0.1:9", "retries": {"limit": 0}}).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("http_unreachable", True)
    assert failed.message.startswith(f"POST http://127.0.0.1:9/jobs/{JOB}: no answer: ")


def test_retry_after_is_honoured(service: ScriptedService, do: Do, clock: FakeClock) -> None:
    """By retries of the submit, and by polls, whether the answer was an error or not."""
    asks = {"Retry-After": "7.5"}
    service.on(SUBMIT, Reply(status=429, headers={"Retry-After": "0.2"}), Reply())
    busy, running = Reply(status=503, headers=asks), Reply({"status": "x"}, headers=asks)
    service.on(STATUS, RUNNING, busy, running, DONE)
    sent: list[float] = []

    def note(_: Request) -> None:
        sent.append(time.monotonic())

    service.reply_if = note
    assert do().state is JobState.SUCCEEDED
    assert sent[1] - sent[0] >= 0.2
    assert clock.slept[2:] == [7.5, 7.5]
    assert len(service.requests) == 6


def test_polling_tolerates_temporary_failures(service: ScriptedService, do: Do) -> None:
    """Errors, unreadable answers, silence and answers without a state: the job goes on.

    Each is published as a message.
    """
    service.on(SUBMIT, Reply())
    html = Reply(b"<html>", headers={"content-type": "text/html"})
    failures = [Reply(status=500), Reply(status=429), html, Reply({}), Reply([])]
    service.on(STATUS, *failures, Reply(hangs_up=True), Reply(is_silent=True), DONE)
    outcome = do()
    assert outcome.state is JobState.SUCCEEDED
    messages = [event.message for event in outcome.events if event.message]
    reported = [each for each in messages if each.startswith("No usable answer about the job: GET")]
    assert len(reported) == 7


def test_polling_fails_after_give_up_after_with_the_last_failure(
    service: ScriptedService, do: Do
) -> None:
    """The service gave no usable answer for the configured time."""
    service.on(SUBMIT, Reply()).on(STATUS, Reply({"state": 1}))
    failed = do({"polling": {**POLLING, "give_up_after": 2.5}}).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("http_unreadable", True)
    assert failed.message.startswith(
        "no usable answer about the job for 3 s (give_up_after); the last failure: GET http://"
    )
    assert failed.message.endswith(
        "200, but 'status' must be the state of the job (completed, failed, cancelled, or any "
        'other word for running), but it is null in {"state": 1}; abandoned: no cancel request is '
        "configured, the service may go on with the job"
    )


@pytest.mark.parametrize("status", [302, 401, 403, 404])
def test_polling_tolerates_refusals(service: ScriptedService, do: Do, status: int) -> None:
    """They may be temporary: a deployment, a renewed token, a proxy that redirects to a login."""
    refusal = Reply(status=status, headers={"Location": "/login"})
    service.on(SUBMIT, Reply()).on(STATUS, refusal, RUNNING, refusal, refusal, DONE)
    outcome = do()
    assert (outcome.state, outcome.result) == (JobState.SUCCEEDED, {"files": 3})


def test_lasting_refusal_fails_the_job_and_cancels_it_there(
    service: ScriptedService, do: Do
) -> None:
    """After ``give_up_after``, so that it does not run unwatched. The failure is retryable."""
    service.on(SUBMIT, Reply()).on("DELETE /jobs/" + JOB, Reply(status=204))
    cancel = {"method": "DELETE", "path": "/jobs/{external_id}"}
    failed = do({"polling": {**POLLING, "give_up_after": 2.5}, "cancel": cancel}).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("http_404", True)
    assert failed.message.startswith("no usable answer about the job for 3 s (give_up_after)")
    assert failed.message.endswith("; the service cancelled it")
    assert len(service.requests_for("DELETE /jobs/" + JOB)) == 1


def test_job_that_is_gone_fails_at_once(service: ScriptedService, do: Do) -> None:
    """410 is permanent, so neither a poll nor a retry can help."""
    service.on(SUBMIT, Reply()).on(STATUS, RUNNING, Reply({"detail": "deleted"}, status=410))
    failed = do().error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("http_410", False)
    assert len(service.requests_for(STATUS)) == 2


def test_polling_tolerates_a_secret_that_is_missing_and_then_renewed(
    service: ScriptedService, do: Do, tmp_path: Path, clock: FakeClock
) -> None:
    """The file is read for each poll; while it is missing, the job waits."""
    token = tmp_path / "token"
    token.write_text("token-1")

    def reply(request: Request) -> Reply | None:
        is_allowed = request.headers["Authorization"] == "Bearer token-2"
        return None if is_allowed or request.line == SUBMIT else Reply(status=401)

    def renew() -> None:
        while len(service.requests_for(STATUS)) < 3:
            time.sleep(0.001)
        token.unlink()
        polls = len(clock.slept)
        while len(clock.slept) < polls + 3:
            time.sleep(0.001)
        token.write_text("token-2")

    service.reply_if = reply
    service.on(SUBMIT, Reply()).on(STATUS, DONE)
    thread = threading.Thread(target=renew)
    thread.start()
    outcome = do(
        {"polling": {**POLLING, "give_up_after": 1_000_000}},
        service_config={"auth": {"bearer": {"file": str(token)}}},
    )
    thread.join()
    assert outcome.state is JobState.SUCCEEDED
    sent = {each.headers["Authorization"] for each in service.requests_for(STATUS)}
    assert sent == {"Bearer token-1", "Bearer token-2"}


def test_result_is_fetched_again_after_a_refusal(service: ScriptedService, do: Do) -> None:
    """The work is done, so a temporary 404 does not lose the result."""
    service.on(SUBMIT, Reply()).on(STATUS, DONE)
    service.on("GET /rows", Reply(status=404), Reply(status=401), Reply([1, 2]))
    outcome = do({"result": {"path": "/rows"}})
    assert (outcome.state, outcome.result) == (JobState.SUCCEEDED, [1, 2])


def test_submit_without_an_answer_is_cancelled(service: ScriptedService, do: Do) -> None:
    """The service may have received it; then the job would run unwatched."""
    service.on(SUBMIT, Reply(is_silent=True)).on(f"DELETE /jobs/{JOB}", Reply())
    limits = {"timeout": 20, "retries": {"limit": 0}}
    cancel = {"method": "DELETE", "path": "/jobs/{external_id}"}
    failed = do({"cancel": cancel}, service_config=limits).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("http_timeout", True)
    assert failed.message.endswith("no answer within 20 s; the service cancelled it")


@pytest.mark.parametrize(
    ("location", "external_id"),
    [
        ("{url}/v2/tasks/4711", "4711"),
        ("/v2/tasks/4711/", "4711"),
        ("/v2/tasks/a%20b?x=1", "a b"),
    ],
)
def test_external_id_in_the_location(
    service: ScriptedService, do: Do, location: str, external_id: str
) -> None:
    """An answer 202 may have the id in the header Location only: the part that fits the path."""
    there = quote(external_id)
    headers = {"Location": location.format(url=service.url)}
    service.on(SUBMIT, Reply(b"", status=202, headers=headers)).on(f"GET /v2/tasks/{there}", DONE)
    for submit in ({"external_id": "id"}, {"external_id_header": "Location"}):
        outcome = do({"submit": submit, "polling": {"path": "/v2/tasks/{external_id}", **POLLING}})
        assert (outcome.state, outcome.events[-1].external_id) == (JobState.SUCCEEDED, external_id)


def test_job_whose_external_id_cannot_be_published_is_cancelled(
    service: ScriptedService, do: Do
) -> None:
    """Another gateway could not find the job by it, so the job would run unwatched."""
    there = "x" * 2_001
    service.on(SUBMIT, Reply({"id": there})).on(f"DELETE /jobs/{there}", Reply())
    cancel = {"method": "DELETE", "path": "/jobs/{external_id}"}
    failed = do({"submit": {"external_id": "id"}, "cancel": cancel}).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("external_id_unusable", False)
    assert failed.message.endswith("or is too long; the service cancelled it")


def test_external_id_in_a_configured_header(service: ScriptedService, do: Do) -> None:
    """The whole value of the header is the id."""
    service.on(SUBMIT, Reply(b"", status=202, headers={"X-Run": "r-7"})).on("GET /jobs/r-7", DONE)
    assert do({"submit": {"external_id_header": "X-Run"}}).state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    "location",
    [
        *("http://127.0.0.1:9/jobs/7", "/other/7", "/jobs/7/8"),
        *("http://[bad/jobs/7", "http://127.0.0.1:port/jobs/7"),
    ],
)
def test_location_elsewhere_is_not_polled(service: ScriptedService, do: Do, location: str) -> None:
    """Another host would receive the token. The submit fails, and its error has the location."""
    service.on(SUBMIT, Reply(b"", status=202, headers={"Location": location}))
    failed = do({"submit": {"external_id_header": "Location"}}).error
    assert failed is not None
    assert not failed.retryable
    assert f"its header Location, {location}, does not match any path in the file" in failed.message
    assert len(service.requests) == 1


def test_unknown_state_is_reported_once_and_counted(service: ScriptedService) -> None:
    """The job goes on; the message shows why it may never end."""
    service.on(SUBMIT, Reply()).on(STATUS, *[Reply({"status": "GELUKT"})] * 9, DONE)
    config = {"url": service.url, "polling": {"interval": 0.3, "maximum": 0.3}}
    gateway = Gateway(GatewayConfig.model_validate({"jobs": {"work": config}}))
    outcome = run_job(gateway.worker, "work", correlation_id=JOB, timeout=60.0)
    assert outcome.state is JobState.SUCCEEDED
    messages = [event.message or "" for event in outcome.events]
    remarks = [message for message in messages if "Unknown state" in message]
    assert len(remarks) < len(messages) - 2
    assert remarks[0].startswith("Unknown state 'GELUKT' from the service")
    [family] = gateway.worker.metric_sources[0].collect()
    assert [(each.labels, each.value) for each in family.samples] == [({"job_type": "work"}, 1)]


def test_unknown_state_is_unusable_if_running_is_configured(
    service: ScriptedService, do: Do
) -> None:
    """The file lists all words for a running job, so another word is not a usable answer."""
    service.on(SUBMIT, Reply()).on(STATUS, Reply({"status": "paused"}))
    failed = do(
        {"polling": {**POLLING, "give_up_after": 2.5}, "answer": {"running": ["running"]}}
    ).error
    assert failed is not None
    assert "(completed, failed, cancelled, running), but it is paused in" in failed.message


def test_job_of_an_earlier_delivery_is_not_submitted_again(
    service: ScriptedService, do: Do
) -> None:
    """Another gateway died or released it; its external id is in the response topic."""
    service.on("GET /jobs/run-7", RUNNING, DONE)
    assert do(external_id="run-7").state is JobState.SUCCEEDED
    assert {each.line for each in service.requests} == {"GET /jobs/run-7"}


def test_conflict_means_that_the_job_is_submitted(service: ScriptedService, do: Do) -> None:
    """An earlier gateway died after its submit. With ids of the service, 409 is an error."""
    service.on(SUBMIT, Reply({"detail": "exists"}, status=409)).on(STATUS, DONE)
    assert do().state is JobState.SUCCEEDED
    failed = do({"submit": {"external_id": "run"}}).error
    assert failed is not None
    assert failed.type == "http_409"


def test_answer_without_the_external_id_fails_the_job(service: ScriptedService, do: Do) -> None:
    """It may run unwatched at the service, so the task does not submit it again."""
    service.on(SUBMIT, Reply({"id": 5}))
    failed = do({"submit": {"external_id": "run.id"}}).error
    assert failed is not None
    assert failed.message.endswith(
        "200, but it does not contain the external id: no 'run.id' in its body and no header "
        "Location. The job may be running at the service"
    )
    assert not failed.retryable


CANCEL = {"method": "DELETE", "path": "/jobs/{external_id}"}


async def watched_job(service: ScriptedService, **config: Any) -> StartedJob:
    """Return a job that the service runs, once it is polled."""
    service.requests.clear()
    job_config = HttpJob.model_validate({"url": service.url, "polling": POLLING, **config})
    job = StartedJob(HttpHandler(job_config, ServiceClient(HttpService(url=service.url))))
    await until(lambda: service.requests_for(STATUS))
    return job


async def test_cancel_reaches_the_service(service: ScriptedService) -> None:
    """With the configured request; the terminal event has its outcome."""
    service.on(SUBMIT, Reply()).on(STATUS, RUNNING).on(f"DELETE /jobs/{JOB}", Reply(status=204))
    job = await watched_job(service, cancel=CANCEL)
    assert await job.stopped() == "the test stopped it; the service cancelled it"
    service.on(f"DELETE /jobs/{JOB}", Reply({"detail": "too late"}, status=410))
    job = await watched_job(service, cancel=CANCEL)
    message = await job.stopped()
    assert message.endswith(f'DELETE {service.url}/jobs/{JOB}: 410 Gone: {{"detail": "too late"}}')


async def test_cancel_without_a_configured_request_abandons_the_job(
    service: ScriptedService,
) -> None:
    """The terminal event says that the service may go on."""
    service.on(SUBMIT, Reply()).on(STATUS, RUNNING)
    job = await watched_job(service)
    assert await job.stopped() == (
        "the test stopped it; abandoned: no cancel request is configured, the service may go on "
        "with the job"
    )


async def test_deadline_cancels_at_the_service(service: ScriptedService) -> None:
    """The configured request may be any method and path."""
    stop = {"method": "POST", "path": "/jobs/{external_id}/stop"}
    service.on(SUBMIT, Reply()).on(STATUS, RUNNING).on(f"POST /jobs/{JOB}/stop", Reply())
    job = await watched_job(service, cancel=stop)
    assert await job.stopped(StopReason.DEADLINE) == (
        "the test stopped it; the service cancelled it"
    )
    assert len(service.requests_for(f"POST /jobs/{JOB}/stop")) == 1
