"""A service that sends the gateway's secrets back: no event of a job shown them."""

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
from unit.gateway.http.conftest import POLLING, Do
from unit.gateway.http.scripted import Reply, ScriptedService
from unit.gateway.started_job import JOB

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
    """Return all parts of a secret that are long enough to be useful."""
    return {of[at : at + 8] for at in range(len(of) - 7)}


def shown(events: object) -> set[str]:
    """Return the parts of secrets that the events show."""
    text = repr(events)
    return {part for form in FORMS for part in parts(form) if part in text}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("before", [0, 193, 490])
def test_no_secret_of_a_refused_submit_is_shown(
    service: ScriptedService, do: Do, form: str, before: int
) -> None:
    """Wherever the excerpt of the answer is cut: half a secret is not found by a mask."""
    for reply in (
        Reply({"detail": "x" * before + form}, status=400),
        Reply(("x" * before + form).encode(), headers={"content-type": "text/plain"}),
        Reply(status=302, headers={"Location": f"http://127.0.0.1:9/{form}?{form}"}),
        Reply(b'{"x": "' + b"x" * before + form.encode(), status=200),
    ):
        service.on(SUBMIT, reply)
        outcome = do({"submit": {"external_id": "id"}}, service_config=WHO)
        assert outcome.state is JobState.FAILED
        assert not shown(outcome.events)


@pytest.mark.parametrize("form", FORMS)
def test_no_secret_in_an_answer_is_shown(service: ScriptedService, do: Do, form: str) -> None:
    """Progress, messages, errors, results, states, and the service's id of the job."""
    running = {"status": form, "message": form, "progress": {"completed": 1, "unit": form}}
    error = {"type": form, "message": f"no {form}", "details": form * 3}
    ends = {"status": "completed", "result": {form: [form, {"a": form}]}}
    for end in (ends, {"status": "failed", "error": error}, {"status": "failed", "x": form}):
        service.on(SUBMIT, Reply()).on(STATUS, Reply(running), Reply({form: 1}), Reply(end))
        outcome = do(service_config=WHO)
        assert not shown(outcome.events)
    service.on(SUBMIT, Reply({"id": f"job-{form}"}))
    outcome = do({"submit": {"external_id": "id"}}, service_config=WHO)
    assert not shown(outcome.events)
    for media_type in ("text/plain", "application/octet-stream", "application/json"):
        body = json.dumps([form]).encode()
        service.on(SUBMIT, Reply(body, headers={"content-type": media_type}))
        outcome = do({"mode": "synchronous", "polling": None}, service_config=WHO)
        assert outcome.state is JobState.SUCCEEDED
        assert not shown(outcome.events)


values = st.recursive(
    st.sampled_from(FORMS) | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*FORMS, "a", "type", "message"]), inner, max_size=3)
    ),
    max_leaves=6,
)
ANSWER_KEYS = ("status", "progress", "message", "result", "error", "details", "code")


@settings(
    derandomize=True,
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    body=st.dictionaries(st.sampled_from([*ANSWER_KEYS, *FORMS]), values, max_size=5),
    end=st.sampled_from(["completed", "failed", "canceled"]),
    status=st.sampled_from([200, 200, 200, 302, 400, 500]),
    escape=st.booleans(),
)
def test_no_secret_in_any_json_is_shown(
    service: ScriptedService, do: Do, body: dict[str, Any], end: str, status: int, escape: bool
) -> None:
    """With any escapes, and any status."""
    text = json.dumps(body | {"status": end})
    if escape:  # as JSON may: each character by its number
        text = json.dumps(body | {"status": end}).replace("s", r"\u0073").replace("p", r"\u0070")
    service.on(SUBMIT, Reply()).on(STATUS, Reply(text.encode(), status=status))
    outcome = do({"polling": {**POLLING, "give_up_after": 1}}, service_config=WHO)
    assert not shown(outcome.events)


def test_control_characters_of_a_service_are_escaped(service: ScriptedService, do: Do) -> None:
    """Escape codes, NUL and line breaks are shown, and long texts are cut."""
    hostile = "a\x1b[2J\x00\u202e\nb" + "x" * 100_000
    running = {
        "status": "running",
        "message": hostile,
        "progress": {"completed": 1, "unit": hostile},
    }
    error = {"type": hostile, "message": hostile, "details": hostile}
    service.on(SUBMIT, Reply())
    service.on(STATUS, Reply(running), Reply({"status": "failed", "error": error}))
    outcome = do()
    assert outcome.error is not None
    lines = [event.message or "" for event in outcome.events]
    lines += [progress.unit or "" for progress in outcome.progress] + [outcome.error.type]
    texts = [*lines, outcome.error.message, outcome.error.details or ""]
    assert len(outcome.progress) == 1
    assert not any(set(each) & set("\x1b\x00\u202e") for each in texts)
    assert not any("\n" in each for each in lines)
    assert max(map(len, texts)) <= 32_000
