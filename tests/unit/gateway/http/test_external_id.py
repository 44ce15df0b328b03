"""By which id a service knows a job: in the answer to the submit, in a header, or the job's own."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from kafka_bridge.gateway.http.answer import ServiceAnswer
from kafka_bridge.gateway.http.config import HttpJob
from kafka_bridge.gateway.http.external_id import external_id_of
from kafka_bridge.gateway.http.request_errors import RequestFailed
from kafka_bridge.gateway.mask import Mask
from unit.gateway.started_job import JOB

SERVICE = "https://svc/api"
AT = f"{SERVICE}/jobs"


def find(
    job: dict[str, Any],
    body: Any = None,
    headers: dict[str, str] | None = None,
    base_url: str = SERVICE,
) -> str:
    """Return the external id under these keys of a job, in an answer to ``POST …/api/jobs``."""
    content = (
        body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    )
    request = httpx.Request("POST", f"{base_url}/jobs")
    response = httpx.Response(202, headers=headers, content=content, request=request)
    configured = HttpJob.model_validate({"service": "it", **job})
    return external_id_of(
        configured, base_url, ServiceAnswer(response, 0.0, Mask()), {"job_id": JOB}
    )


def missing(*arguments: Any, **more: Any) -> str:
    """Return why an answer does not contain the id."""
    with pytest.raises(RequestFailed) as refused:
        find(*arguments, **more)
    assert not refused.value.retryable, "the job may be running there"
    return str(refused.value)


BY_HEADER = {"submit": {"external_id_header": "Location"}}
BY_BODY = {"submit": {"external_id": "run.id"}}


def test_id_is_the_jobs_own_unless_the_file_says_where_another_one_is() -> None:
    """What an answer contains does not matter then."""
    assert find({}, {"run": {"id": "7"}}, {"Location": f"{AT}/8"}) == JOB


@pytest.mark.parametrize(("value", "found"), [("r-7", "r-7"), (7, "7"), ("a/b c", "a/b c")])
def test_id_in_the_body_is_taken_as_it_is(value: Any, found: str) -> None:
    """As text, before one in a header."""
    assert find(BY_BODY, {"run": {"id": value}}, {"Location": f"{AT}/8"}) == found


@pytest.mark.parametrize(
    "body", [None, {}, {"run": {"id": None}}, {"run": {"id": ""}}, b"no JSON", ["run"]]
)
def test_location_has_the_id_where_the_body_has_none(body: Any) -> None:
    """A body that cannot be read does not hide it."""
    assert find(BY_BODY, body, {"Location": f"{AT}/8"}) == "8"


def test_answer_without_an_id_says_where_one_was_looked_for() -> None:
    """The job may run, and nobody can watch it: it is not submitted again."""
    assert missing(BY_BODY, {"id": 5}).endswith(
        "it does not contain the external id: no 'run.id' in its body and no header Location. "
        "The job may be running at the service"
    )
    assert "external id: no header X-Run." in missing({"submit": {"external_id_header": "X-Run"}})
    assert "its body is not JSON" in missing(BY_BODY, b"oh")


def test_header_that_is_no_url_is_the_id() -> None:
    """As it is, in a header of the service's own or in Location."""
    assert find({"submit": {"external_id_header": "X-Run"}}, headers={"X-Run": "r 7"}) == "r 7"
    assert find(BY_HEADER, headers={"Location": "r%207"}) == "r%207"


@pytest.mark.parametrize(
    ("location", "found"),
    [
        (f"{AT}/7", "7"),
        (f"{AT}/7/", "7"),
        ("https://svc:443/api/jobs/7", "7"),
        ("/api/jobs/7", "7"),
        ("jobs/7", "7"),
        ("//svc/api/jobs/7", "7"),
        (f"{AT}/a%20b%2Fc?x=1#y", "a b/c"),
    ],
)
def test_id_is_the_part_of_the_url_that_fits_the_path_for_polling(
    location: str, found: str
) -> None:
    """Absolute, or relative to what was submitted to, and decoded."""
    assert find(BY_HEADER, headers={"Location": location}) == found


@pytest.mark.parametrize(
    ("job", "location", "found"),
    [
        ({"polling": {"path": "/runs/{external_id}/status"}}, "/api/runs/7/status", "7"),
        ({"polling": {"path": "/runs?id={external_id}"}}, "/api/runs?id=7", "7"),
        ({"polling": {"path": "/jobs/{job_id}/{external_id}"}}, f"/api/jobs/{JOB}/7", "7"),
        (
            {
                "polling": {"path": "/status/{external_id}"},
                "cancel": {"path": "/runs/{external_id}"},
            },
            "/api/runs/7",
            "7",
        ),
        ({"result": {"path": "/results/{external_id}"}}, "/api/results/7", "7"),
    ],
)
def test_any_path_of_the_file_with_the_id_may_fit(
    job: dict[str, Any], location: str, found: str
) -> None:
    """A service names what it likes: the status, the job or its result."""
    assert find({**BY_HEADER, **job}, headers={"Location": location}) == found


@pytest.mark.parametrize(
    "location",
    [
        "http://svc/api/jobs/7",
        "https://other/api/jobs/7",
        "https://svc:8443/api/jobs/7",
        "https://svc.other/api/jobs/7",
        "https://svc@other/api/jobs/7",
        "/jobs/7",
        "/api/runs/7",
        "/api/jobs/7/8",
        "/api/jobs/",
        "/api/jobs",
        "http://[bad/jobs/7",
        "https://svc:port/api/jobs/7",
    ],
)
def test_url_of_anything_else_gives_no_id(location: str) -> None:
    """Requests, with their token, go to the service of the file only. The error quotes the URL."""
    words = missing(BY_HEADER, headers={"Location": location})
    assert f"its header Location, {location}, does not match any path in the file" in words


def test_url_with_another_end_gives_no_id() -> None:
    """It may be of another kind of thing, whose ids are others."""
    job = {**BY_HEADER, "polling": {"path": "/runs/{external_id}/status"}}
    assert "does not match" in missing(job, headers={"Location": "/api/runs/7/labels"})


def test_id_that_no_request_needs_is_the_last_part_of_the_url() -> None:
    """It is shown to people only, when callbacks tell how the job goes."""
    job = {**BY_HEADER, "mode": "callback"}
    assert find(job, headers={"Location": f"{AT}/here/a%20b/"}) == "a b"
    assert "does not match" in missing(job, headers={"Location": "https://other/jobs/7"})
