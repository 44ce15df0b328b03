"""Jobs that are submitted and polled for, by a real HTTP service on loopback."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from kafka_bridge.protocol.messages import JobState, Progress, utc_now
from unit.gateway.http.conftest import JOB, QUICK, Do
from unit.gateway.http.scripted import Says, Scripted

RUNNING, DONE = Says({"status": "running"}), Says({"status": "completed", "result": {"files": 3}})
SUBMIT, STATUS = f"POST /jobs/{JOB}", f"GET /jobs/{JOB}"
PROGRESS = Says(
    {
        "status": "running",
        "message": "Reading",
        "progress": {"completed": 1, "total": 4, "unit": "f"},
    }
)


def test_plainest_service_works_with_a_url_alone(service: Scripted, do: Do) -> None:
    """POST starts the job, with its id as the idempotency key; GET says how it is."""
    service.on(SUBMIT, Says(status=202)).on(STATUS, RUNNING, PROGRESS, DONE)
    outcome = do(payload={"path": "/data"})
    assert (outcome.state, outcome.result) == (JobState.SUCCEEDED, {"files": 3})
    [submit] = service.requests(SUBMIT)
    assert submit.body == {"path": "/data"}
    assert submit.headers["Idempotency-Key"] == JOB
    assert len(service.requests(STATUS)) == 3
    assert [event.external_id for event in outcome.events][1:] == [JOB] * (len(outcome.events) - 1)


def test_progress_is_told(service: Scripted, do: Do) -> None:
    """With its unit and message."""
    service.on(SUBMIT, Says()).on(STATUS, *[PROGRESS] * 15, DONE)
    outcome = do({"polling": {"interval": 0.05, "maximum": 0.05}})
    assert Progress(1.0, 4.0, "f") in outcome.progress
    assert "Reading" in [event.message for event in outcome.events]


def test_everything_can_be_said_another_way(service: Scripted, do: Do) -> None:
    """Paths, methods, headers, bodies, words and where in the answers things stand."""
    service.on("PUT /v1/eu/runs", Says({"data": {"run": 4711}}, status=201))
    service.on(
        "GET /v1/runs/4711?full=yes",
        Says({"data": {"phase": "active", "pct": 40}}),
        Says({"data": {"phase": "ok"}}),
    )
    service.on("GET /v1/runs/4711/output", Says({"rows": [1, 2]}))
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
            "polling": {"path": "/v1/runs/{external_id}?full=yes", **QUICK},
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
    submit = service.asked[0]
    assert submit.body == {"key": JOB, "files": ["a", "b"]}
    assert (submit.headers["X-Tenant"], submit.headers["X-Request-Id"]) == ("blue", JOB)
    assert outcome.events[-1].external_id == "4711"


def test_failure_carries_the_services_own_words(service: Scripted, do: Do) -> None:
    """Type, message, details, and whether to retry."""
    error = {"type": "disk_full", "message": "No space", "details": "on /data", "retryable": False}
    service.on(SUBMIT, Says()).on(STATUS, Says({"status": "failed", "error": error}))
    failed = do().error
    assert failed is not None
    assert (failed.type, failed.message, failed.details) == ("disk_full", "No space", "on /data")
    assert not failed.retryable


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"status": "failed", "error": "No space"}, "No space"),
        ({"status": "failed", "message": "No space"}, "No space"),
        ({"status": "failed"}, 'the service says no more than {"status": "failed"}'),
    ],
)
def test_failure_in_few_words(service: Scripted, do: Do, body: object, message: str) -> None:
    """What there is of them is told; such a job may be tried again."""
    service.on(SUBMIT, Says()).on(STATUS, Says(body))
    failed = do().error
    assert failed is not None
    assert (failed.type, failed.message, failed.retryable) == ("job_failed", message, True)


def test_job_cancelled_at_the_service(service: Scripted, do: Do) -> None:
    """Somebody there meant it: the task fails and does not try again."""
    service.on(SUBMIT, Says()).on(STATUS, Says({"status": "cancelled", "message": "by bob"}))
    failed = do().error
    assert failed is not None
    assert failed.message == "the job was cancelled at the service: by bob"
    assert not failed.retryable


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_refused_submit_is_not_sent_again(service: Scripted, do: Do, status: int) -> None:
    """The error has method, URL, status and the service's words."""
    service.on(SUBMIT, Says({"detail": "path is missing"}, status=status))
    failed = do().error
    assert failed is not None
    assert (failed.type, failed.retryable) == (f"http_{status}", False)
    assert failed.message.startswith(f"POST {service.url}/jobs/{JOB}: {status} ")
    assert failed.message.endswith('{"detail": "path is missing"}')
    assert len(service.asked) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_submit_that_may_do_better_is_sent_again(service: Scripted, do: Do, status: int) -> None:
    """With the same key, and the task's log says so."""
    service.on(SUBMIT, *[Says({"detail": "busy"}, status=status)] * 2, Says()).on(STATUS, DONE)
    outcome = do()
    assert outcome.state is JobState.SUCCEEDED
    submits = service.requests(SUBMIT)
    assert [each.headers["Idempotency-Key"] for each in submits] == [JOB] * 3


def test_submit_is_given_up_after_its_retries(service: Scripted, do: Do) -> None:
    """As a failure that the task may try again."""
    service.on(SUBMIT, Says({"detail": "down"}, status=503))
    failed = do(service_says={"retries": {"limit": 2, "initial": 0.01, "jitter": 0}}).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("http_503", True)
    assert len(service.asked) == 3


def test_service_that_hangs_up_or_says_nothing(service: Scripted, do: Do) -> None:
    """The submit is sent again; what the error says where that does not help either."""
    service.on(SUBMIT, Says(hangs_up=True), Says(hangs=5), Says()).on(STATUS, DONE)
    limits = {"timeout": 0.2, "retries": {"limit": 2, "initial": 0.01, "jitter": 0}}
    assert do(service_says=limits).state is JobState.SUCCEEDED
    service.on(SUBMIT, Says(hangs=5))
    failed = do(service_says=limits).error
    assert failed is not None
    assert failed.type == "http_timeout"
    assert failed.message == f"POST {service.url}/jobs/{JOB}: no answer within 0.2 s"


def test_service_that_is_not_there(do: Do) -> None:
    """The error says where it was looked for."""
    failed = do(service_says={"url": "http://127.0.0.1:9", "retries": {"limit": 0}}).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("http_unreachable", True)
    assert failed.message.startswith(f"POST http://127.0.0.1:9/jobs/{JOB}: no answer: ")


def test_retry_after_is_honoured(service: Scripted, do: Do) -> None:
    """By the submit, and by the polling, whether the answer was an error or not."""
    asks = {"Retry-After": "0.4"}
    service.on(SUBMIT, Says(status=429, headers=asks), Says())
    service.on(STATUS, Says(status=503, headers=asks), Says({"status": "x"}, headers=asks), DONE)
    began = time.monotonic()
    assert do().state is JobState.SUCCEEDED
    assert time.monotonic() - began >= 1.2
    assert len(service.asked) == 5


def test_polling_bears_what_passes(service: Scripted, do: Do) -> None:
    """Errors, garbage, silence and answers without a state cost no job, and are told."""
    service.on(SUBMIT, Says())
    garbage = Says(b"<html>", headers={"content-type": "text/html"})
    faults = [Says(status=500), Says(status=429), garbage, Says({}), Says([]), Says(hangs_up=True)]
    service.on(STATUS, *faults, Says(hangs=5), DONE)
    outcome = do(service_says={"timeout": 0.3})
    assert outcome.state is JobState.SUCCEEDED
    told = [event.message for event in outcome.events if event.message]
    assert any(each.startswith("Cannot learn how the job is: GET http") for each in told)


def test_polling_is_given_up(service: Scripted, do: Do) -> None:
    """Once no usable answer has come for as long as the file says, with the last one."""
    service.on(SUBMIT, Says()).on(STATUS, Says({"state": 1}))
    failed = do({"polling": {**QUICK, "give_up_after": 0.2}}).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("http_unreadable", True)
    assert failed.message.startswith("for 0 s nobody said how the job is, at last: GET http://")
    assert failed.message.endswith(
        "200, but 'status' should say how the job is (completed, failed, cancelled, any other word "
        'while it runs), but is null in {"state": 1}'
    )


def test_service_that_does_not_know_the_job(service: Scripted, do: Do) -> None:
    """A 404 does not pass: the job has ended."""
    service.on(SUBMIT, Says())
    failed = do().error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("http_404", False)


def test_word_that_is_not_in_the_file(service: Scripted, do: Do) -> None:
    """Where the file lists the words for a job that goes on, another one is no answer."""
    service.on(SUBMIT, Says()).on(STATUS, Says({"status": "paused"}))
    failed = do(
        {"polling": {**QUICK, "give_up_after": 0.1}, "answer": {"running": ["running"]}}
    ).error
    assert failed is not None
    assert "(completed, failed, cancelled, running), but is paused in" in failed.message


def test_job_of_an_earlier_delivery_is_not_submitted_again(service: Scripted, do: Do) -> None:
    """Another gateway died or handed it over: its external id is in the topic."""
    service.on("GET /jobs/run-7", RUNNING, DONE)
    assert do(external_id="run-7").state is JobState.SUCCEEDED
    assert {each.line for each in service.asked} == {"GET /jobs/run-7"}


def test_submit_that_the_service_has_already(service: Scripted, do: Do) -> None:
    """The gateway before died before it could say so: 409 is no error where ids are ours."""
    service.on(SUBMIT, Says({"detail": "exists"}, status=409)).on(STATUS, DONE)
    assert do().state is JobState.SUCCEEDED
    failed = do({"submit": {"external_id": "run"}}).error
    assert failed is not None
    assert failed.type == "http_409"


def test_answer_without_the_external_id(service: Scripted, do: Do) -> None:
    """The job may run, unwatched: it fails, and is not submitted again by itself."""
    service.on(SUBMIT, Says({"id": 5}))
    failed = do({"submit": {"external_id": "run.id"}}).error
    assert failed is not None
    assert failed.message.endswith(
        "200, but external_id, 'run.id', is not in it: the job may run there unwatched"
    )
    assert not failed.retryable


def test_cancel_reaches_the_service(service: Scripted, do: Do) -> None:
    """By the request that the file names; the end says what came of it."""
    service.on(SUBMIT, Says()).on(STATUS, RUNNING).on("DELETE /jobs/" + JOB, Says(status=204))
    cancel = {"method": "DELETE", "path": "/jobs/{external_id}"}
    outcome = do({"cancel": cancel}, cancel_after=0.2)
    assert outcome.state is JobState.CANCELLED
    assert outcome.events[-1].message == "the test cancelled it; the service has cancelled it"
    service.on("DELETE /jobs/" + JOB, Says({"detail": "too late"}, status=410))
    message = do({"cancel": cancel}, cancel_after=0.2).events[-1].message
    assert message is not None
    assert message.endswith(f'DELETE {service.url}/jobs/{JOB}: 410 Gone: {{"detail": "too late"}}')


def test_cancel_without_a_request_abandons_the_job(service: Scripted, do: Do) -> None:
    """And says so."""
    service.on(SUBMIT, Says()).on(STATUS, RUNNING)
    outcome = do(cancel_after=0.2)
    assert (outcome.state, outcome.events[-1].message) == (
        JobState.CANCELLED,
        "the test cancelled it; abandoned: the service is not asked to cancel its jobs and may go "
        "on with this",
    )


def test_deadline_cancels_at_the_service(service: Scripted, do: Do) -> None:
    """It is a failure that may be tried again, and the service does not go on either."""
    service.on(SUBMIT, Says()).on(STATUS, RUNNING).on(f"POST /jobs/{JOB}/stop", Says())
    failed = do(
        {"cancel": {"method": "POST", "path": "/jobs/{external_id}/stop"}},
        deadline=utc_now() + timedelta(seconds=0.3),
    ).error
    assert failed is not None
    assert failed.type == "deadline_exceeded"
    assert failed.message.endswith("has passed; the service has cancelled it")
    assert len(service.requests(f"POST /jobs/{JOB}/stop")) == 1
