"""A service that sends the gateway's secrets back: nothing that a job says shows them."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kafka_bridge.protocol.messages import JobState
from unit.examples_count import examples
from unit.gateway.http.conftest import JOB, QUICK, Do
from unit.gateway.http.scripted import Says, Scripted

SUBMIT, STATUS = f"POST /jobs/{JOB}", f"GET /jobs/{JOB}"
PASSWORD, KEY = "s3cr3t/+ pass word", "key-4711-0815"
BASIC = base64.b64encode(f"airflow:{PASSWORD}".encode()).decode()
FORMS = (PASSWORD, BASIC, KEY, quote(PASSWORD), base64.b64encode(PASSWORD.encode()).decode())
WHO = {
    "auth": {"basic": {"username": "airflow", "password": {"env": "PASSWORD"}}},
    "headers": {"X-Key": {"env": "KEY"}},
}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", PASSWORD)
    monkeypatch.setenv("KEY", KEY)


def parts(of: str) -> set[str]:
    """Return all parts of a secret that are long enough to help somebody."""
    return {of[at : at + 8] for at in range(len(of) - 7)}


def shows(events: object) -> set[str]:
    """Return what of the secrets is in the events."""
    text = repr(events)
    return {part for form in FORMS for part in parts(form) if part in text}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("before", [0, 193, 490])
def test_refused_submit(service: Scripted, do: Do, form: str, before: int) -> None:
    """Wherever the excerpt of the answer ends: half a secret is none that can be found."""
    for says in (
        Says({"detail": "x" * before + form}, status=400),
        Says(("x" * before + form).encode(), headers={"content-type": "text/plain"}),
        Says(status=302, headers={"Location": f"http://127.0.0.1:9/{form}?{form}"}),
        Says(b'{"x": "' + b"x" * before + form.encode(), status=200),
    ):
        service.on(SUBMIT, says)
        outcome = do({"submit": {"external_id": "id"}}, service_says=WHO)
        assert outcome.state is JobState.FAILED
        assert not shows(outcome.events)


@pytest.mark.parametrize("form", FORMS)
def test_answers_that_are_read(service: Scripted, do: Do, form: str) -> None:
    """Progress, messages, errors, results, words for the state, and the job's own name there."""
    running = {"status": form, "message": form, "progress": {"completed": 1, "unit": form}}
    error = {"type": form, "message": f"no {form}", "details": form * 3}
    ends = {"status": "completed", "result": {form: [form, {"a": form}]}}
    for end in (ends, {"status": "failed", "error": error}, {"status": "failed", "x": form}):
        service.on(SUBMIT, Says()).on(STATUS, Says(running), Says({form: 1}), Says(end))
        outcome = do(service_says=WHO)
        assert not shows(outcome.events)
    service.on(SUBMIT, Says({"id": f"job-{form}"}))
    outcome = do({"submit": {"external_id": "id"}}, service_says=WHO)
    assert not shows(outcome.events)
    for media_type in ("text/plain", "application/octet-stream", "application/json"):
        body = json.dumps([form]).encode()
        service.on(SUBMIT, Says(body, headers={"content-type": media_type}))
        outcome = do({"mode": "synchronous", "polling": None}, service_says=WHO)
        assert outcome.state is JobState.SUCCEEDED
        assert not shows(outcome.events)


values = st.recursive(
    st.sampled_from(FORMS) | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*FORMS, "a", "type", "message"]), inner, max_size=3)
    ),
    max_leaves=6,
)
SPEAKING = ("status", "progress", "message", "result", "error", "details", "code")


@settings(
    derandomize=True,
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    body=st.dictionaries(st.sampled_from([*SPEAKING, *FORMS]), values, max_size=5),
    end=st.sampled_from(["completed", "failed", "canceled"]),
    status=st.sampled_from([200, 200, 200, 302, 400, 500]),
    escape=st.booleans(),
)
def test_whatever_a_service_says(
    service: Scripted, do: Do, body: dict[str, Any], end: str, status: int, escape: bool
) -> None:
    """Of any JSON, with any escapes, whatever its status."""
    text = json.dumps(body | {"status": end})
    if escape:  # as JSON may: each character by its number
        text = json.dumps(body | {"status": end}).replace("s", r"\u0073").replace("p", r"\u0070")
    service.on(SUBMIT, Says()).on(STATUS, Says(text.encode(), status=status))
    outcome = do({"polling": {**QUICK, "give_up_after": 0.01}}, service_says=WHO)
    assert not shows(outcome.events)


def test_nothing_from_a_service_acts_on_who_reads_it(service: Scripted, do: Do) -> None:
    """Escape codes, NUL and line breaks are shown, and what is too long is cut."""
    hostile = "a\x1b[2J\x00\u202e\nb" + "x" * 100_000
    running = {
        "status": "running",
        "message": hostile,
        "progress": {"completed": 1, "unit": hostile},
    }
    error = {"type": hostile, "message": hostile, "details": hostile}
    service.on(SUBMIT, Says())
    service.on(STATUS, Says(running), Says({"status": "failed", "error": error}))
    outcome = do({"polling": {"interval": 0.6, "maximum": 0.6}})
    assert outcome.error is not None
    said = [event.message or "" for event in outcome.events]
    said += [outcome.error.type, outcome.error.message, outcome.error.details or ""]
    said += [progress.unit or "" for progress in outcome.progress]
    assert not any(set(each) & set("\x1b\x00\u202e") for each in said)
    assert not any("\n" in each for each in (*said[:-3], outcome.error.type))
    assert max(map(len, said)) <= 32_000
