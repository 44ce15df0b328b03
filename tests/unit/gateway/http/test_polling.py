"""Jobs that are submitted and polled for, by a real HTTP service on loopback."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.gateway import Gateway
from kafka_bridge.gateway.http.answer import ServiceAnswer
from kafka_bridge.gateway.http.config import HttpJob
from kafka_bridge.gateway.http.external_id import external_id_of
from kafka_bridge.gateway.mask import Mask
from kafka_bridge.protocol.messages import JobState, Progress, utc_now
from kafka_bridge.testing.jobs import run_job
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
        ({"status": "failed"}, 'no error message in {"status": "failed"}'),
    ],
)
def test_failure_without_details_is_still_readable(
    service: Scripted, do: Do, body: object, message: str
) -> None:
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
    limits = {"timeout": 0.5, "retries": {"limit": 2, "initial": 0.01, "jitter": 0}}
    assert do(service_says=limits).state is JobState.SUCCEEDED
    service.on(SUBMIT, Says(hangs=5))
    failed = do(service_says=limits).error
    assert failed is not None
    assert failed.type == "http_timeout"
    assert failed.message == f"POST {service.url}/jobs/{JOB}: no answer within 0.5 s"


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
    assert any(each.startswith("No usable answer about the job: GET http") for each in told)


def test_polling_fails_after_give_up_after_with_the_last_failure(service: Scripted, do: Do) -> None:
    """Once no usable answer has come for as long as the file says, with the last one."""
    service.on(SUBMIT, Says()).on(STATUS, Says({"state": 1}))
    failed = do({"polling": {**QUICK, "give_up_after": 0.2}}).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("http_unreadable", True)
    assert failed.message.startswith(
        "no usable answer about the job for 0 s (give_up_after); the last failure: GET http://"
    )
    assert failed.message.endswith(
        "200, but 'status' must be the state of the job (completed, failed, cancelled, or any "
        'other word for running), but it is null in {"state": 1}; abandoned: no cancel request is '
        "configured, the service may go on with the job"
    )


@pytest.mark.parametrize("status", [302, 401, 403, 404])
def test_refusals_are_borne_while_a_job_is_watched(service: Scripted, do: Do, status: int) -> None:
    """A deploy, a token that is renewed, a proxy's login: they cost no job, wherever they come."""
    refusal = Says(status=status, headers={"Location": "/login"})
    service.on(SUBMIT, Says()).on(STATUS, refusal, RUNNING, refusal, refusal, DONE)
    outcome = do()
    assert (outcome.state, outcome.result) == (JobState.SUCCEEDED, {"files": 3})


def test_refusal_that_lasts_is_given_up_and_cancelled_there(service: Scripted, do: Do) -> None:
    """After ``give_up_after``: what nobody watches is not left to run. A retry may do better."""
    service.on(SUBMIT, Says()).on("DELETE /jobs/" + JOB, Says(status=204))
    cancel = {"method": "DELETE", "path": "/jobs/{external_id}"}
    failed = do({"polling": {**QUICK, "give_up_after": 0.2}, "cancel": cancel}).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("http_404", True)
    assert failed.message.startswith("no usable answer about the job for 0 s (give_up_after)")
    assert failed.message.endswith("; the service cancelled it")
    assert len(service.requests("DELETE /jobs/" + JOB)) == 1


def test_job_that_is_gone_ends_at_once(service: Scripted, do: Do) -> None:
    """410 says that no later question will do better."""
    service.on(SUBMIT, Says()).on(STATUS, RUNNING, Says({"detail": "deleted"}, status=410))
    failed = do().error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("http_410", False)
    assert len(service.requests(STATUS)) == 2


def test_secret_that_is_renewed_or_missing_for_a_moment_costs_no_job(
    service: Scripted, do: Do, tmp_path: Path
) -> None:
    """It is read again for each question; while it cannot be read, the job waits."""
    token = tmp_path / "token"
    token.write_text("token-1")

    def renew() -> None:
        while len(service.requests(STATUS)) < 3:
            time.sleep(0.01)
        token.unlink()
        time.sleep(0.1)
        token.write_text("token-2")

    service.on(SUBMIT, Says())
    service.answer_if = lambda asked: (
        None
        if asked.headers["Authorization"] == "Bearer token-2" or asked.line == SUBMIT
        else Says(status=401)
    )
    service.on(STATUS, DONE)
    thread = threading.Thread(target=renew)
    thread.start()
    outcome = do(service_says={"auth": {"bearer": {"file": str(token)}}})
    thread.join()
    assert outcome.state is JobState.SUCCEEDED
    asked = {each.headers["Authorization"] for each in service.requests(STATUS)}
    assert asked == {"Bearer token-1", "Bearer token-2"}


def test_result_that_is_refused_for_a_moment_is_fetched_again(service: Scripted, do: Do) -> None:
    """The work is done: 404 right after the end costs no result."""
    service.on(SUBMIT, Says()).on(STATUS, DONE)
    service.on("GET /rows", Says(status=404), Says(status=401), Says([1, 2]))
    outcome = do({"result": {"path": "/rows"}})
    assert (outcome.state, outcome.result) == (JobState.SUCCEEDED, [1, 2])


def test_submit_that_may_have_begun_is_cancelled(service: Scripted, do: Do) -> None:
    """Where no answer came, the service may run the job that nobody will watch."""
    service.on(SUBMIT, Says(hangs=5)).on(f"DELETE /jobs/{JOB}", Says())
    limits = {"timeout": 1, "retries": {"limit": 0}}
    cancel = {"method": "DELETE", "path": "/jobs/{external_id}"}
    failed = do({"cancel": cancel}, service_says=limits).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("http_timeout", True)
    assert failed.message.endswith("no answer within 1 s; the service cancelled it")


@pytest.mark.parametrize(
    ("location", "external_id"),
    [
        ("{url}/v2/tasks/4711", "4711"),
        ("/v2/tasks/4711/", "4711"),
        ("/v2/tasks/a%20b?x=1", "a b"),
    ],
)
def test_external_id_in_the_location(
    service: Scripted, do: Do, location: str, external_id: str
) -> None:
    """202 may say where the job is in a header only: the id is what fits the path for polling."""
    there = quote(external_id)
    headers = {"Location": location.format(url=service.url)}
    service.on(SUBMIT, Says(b"", status=202, headers=headers)).on(f"GET /v2/tasks/{there}", DONE)
    for submit in ({"external_id": "id"}, {"external_id_header": "Location"}):
        outcome = do({"submit": submit, "polling": {"path": "/v2/tasks/{external_id}", **QUICK}})
        assert (outcome.state, outcome.events[-1].external_id) == (JobState.SUCCEEDED, external_id)


def test_external_id_that_cannot_be_published_is_cancelled(service: Scripted, do: Do) -> None:
    """Nobody could take the job over by it, so it does not go on unwatched."""
    there = "x" * 2_001
    service.on(SUBMIT, Says({"id": there})).on(f"DELETE /jobs/{there}", Says())
    cancel = {"method": "DELETE", "path": "/jobs/{external_id}"}
    failed = do({"submit": {"external_id": "id"}, "cancel": cancel}).error
    assert failed is not None
    assert (failed.type, failed.retryable) == ("external_id_unusable", False)
    assert failed.message.endswith("or is too long; the service cancelled it")


def test_location_names_the_port_that_is_usual() -> None:
    """Which the file may leave out."""
    job = HttpJob.model_validate(
        {"service": "it", "submit": {"external_id_header": "Location"}, "polling": QUICK}
    )
    request = httpx.Request("POST", "https://svc/jobs")
    for location in ("https://svc:443/jobs/7", "https://svc/jobs/7"):
        response = httpx.Response(202, headers={"Location": location}, request=request)
        reply = ServiceAnswer(response, 0.0, Mask())
        assert external_id_of(job, "https://svc", reply, {"job_id": JOB}) == "7"


def test_external_id_in_a_header_of_its_own(service: Scripted, do: Do) -> None:
    """As it is there."""
    service.on(SUBMIT, Says(b"", status=202, headers={"X-Run": "r-7"})).on("GET /jobs/r-7", DONE)
    assert do({"submit": {"external_id_header": "X-Run"}}).state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    "location",
    [
        *("http://127.0.0.1:9/jobs/7", "/other/7", "/jobs/7/8"),
        *("http://[bad/jobs/7", "http://127.0.0.1:port/jobs/7"),
    ],
)
def test_location_elsewhere_is_not_asked(service: Scripted, do: Do, location: str) -> None:
    """Another host would get the token: the submit fails, and says what it has found."""
    service.on(SUBMIT, Says(b"", status=202, headers={"Location": location}))
    failed = do({"submit": {"external_id_header": "Location"}}).error
    assert failed is not None
    assert not failed.retryable
    assert f"its header Location, {location}, does not match any path in the file" in failed.message
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("COMPLETED", JobState.SUCCEEDED),
        ("Succeeded", JobState.SUCCEEDED),
        ("done", JobState.SUCCEEDED),
        ("FAILURE", JobState.FAILED),
        ("timed-out", JobState.FAILED),
        ("Canceled", JobState.FAILED),
    ],
)
def test_usual_words_are_known(service: Scripted, do: Do, word: str, state: JobState) -> None:
    """Without regard to case."""
    service.on(SUBMIT, Says()).on(STATUS, Says({"status": "In Progress"}), Says({"status": word}))
    outcome = do()
    assert outcome.state is state
    assert not any("Unknown state" in (event.message or "") for event in outcome.events)


def test_listed_words_take_the_place_of_the_usual_ones(service: Scripted, do: Do) -> None:
    """And mean what the file says, in whatever case; two that differ by case only may differ."""
    words = {"succeeded": ["Closed"], "failed": ["done"], "cancelled": ["DONE", "x"]}
    service.on(SUBMIT, Says())
    for said, kind in (("CLOSED", None), ("done", "job_failed"), ("DONE", "cancelled_at_service")):
        service.on(STATUS, Says({"status": said}))
        error = do({"answer": words}).error
        assert (error.type if error else None) == kind


def test_unknown_state_is_reported_once_and_counted(service: Scripted) -> None:
    """The job goes on; a person sees why it may never end."""
    service.on(SUBMIT, Says()).on(STATUS, *[Says({"status": "GELUKT"})] * 9, DONE)
    config = {"url": service.url, "polling": {"interval": 0.3, "maximum": 0.3}}
    gateway = Gateway(GatewayConfig.model_validate({"jobs": {"work": config}}))
    outcome = run_job(gateway.worker, "work", correlation_id=JOB, timeout=20.0)
    assert outcome.state is JobState.SUCCEEDED
    told = [event.message or "" for event in outcome.events]
    remarks = [message for message in told if "Unknown state" in message]
    assert len(remarks) < len(told) - 2
    assert remarks[0].startswith("Unknown state 'GELUKT' from the service")
    [family] = gateway.worker.metric_sources[0].collect()
    assert [(each.labels, each.value) for each in family.samples] == [({"job_type": "work"}, 1)]


def test_word_that_is_not_in_the_file(service: Scripted, do: Do) -> None:
    """Where the file lists the words for a job that goes on, another one is no answer."""
    service.on(SUBMIT, Says()).on(STATUS, Says({"status": "paused"}))
    failed = do(
        {"polling": {**QUICK, "give_up_after": 0.1}, "answer": {"running": ["running"]}}
    ).error
    assert failed is not None
    assert "(completed, failed, cancelled, running), but it is paused in" in failed.message


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
        "200, but it does not contain the external id: no 'run.id' in its body and no header "
        "Location. The job may be running at the service"
    )
    assert not failed.retryable


def test_cancel_reaches_the_service(service: Scripted, do: Do) -> None:
    """By the request that the file names; the end says what came of it."""
    service.on(SUBMIT, Says()).on(STATUS, RUNNING).on("DELETE /jobs/" + JOB, Says(status=204))
    cancel = {"method": "DELETE", "path": "/jobs/{external_id}"}
    outcome = do({"cancel": cancel}, cancel_after=0.2)
    assert outcome.state is JobState.CANCELLED
    assert outcome.events[-1].message == "the test cancelled it; the service cancelled it"
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
        "the test cancelled it; abandoned: no cancel request is configured, the service may go on "
        "with the job",
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
    assert failed.message.endswith("has passed; the service cancelled it")
    assert len(service.requests(f"POST /jobs/{JOB}/stop")) == 1
