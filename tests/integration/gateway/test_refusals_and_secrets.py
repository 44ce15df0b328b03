"""A service that refuses for a moment, and one that sends back what it is sent: real gateways."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unit.gateway.http.scripted import Reply, Request, ScriptedService, serving

from integration.gateway.conftest import SetUp
from integration.jobs import request
from integration.worker.endings import ends_of, told
from integration.worker.programs import Stage
from kafka_bridge.kafka.lookups.scan import scan
from kafka_bridge.kafka.records import Record
from kafka_bridge.payloads import from_bytes
from kafka_bridge.protocol.messages import JobRequest, JobState

if TYPE_CHECKING:
    from conftest import Eventually

QUICK = {"interval": 0.1, "maximum": 0.1}
CANCEL = {"method": "DELETE", "path": "/jobs/{external_id}"}
PASSWORD = "s3cr3t/+ pass word"
KEY_FILE = "\n".join(
    ["-----BEGIN PRIVATE KEY-----"]
    + [base64.b64encode(bytes([n] * 48)).decode() for n in range(9, 14)]
    + ["-----END PRIVATE KEY-----"]
)


@pytest.fixture
def scripted() -> Iterator[ScriptedService]:
    """Give a service that answers as a test says."""
    with serving() as script:
        yield script


def jobs(stage: Stage, *types: str) -> list[JobRequest]:
    """Return a request for each job type."""
    return [request(each, stage.responses, {"n": 1}) for each in types]


def test_temporary_refusals_fail_no_job_and_lasting_ones_cancel_it_at_the_service(
    set_up: SetUp, scripted: ScriptedService, eventually: Eventually, tmp_path: Path
) -> None:
    """404 right after the submit, 302 and 401 until the token is renewed; 403 permanently."""
    token = tmp_path / "token"
    token.write_text("first-token")
    polls: list[str] = []

    def answer(asked: Request) -> Reply | None:
        method, _, path = asked.line.partition(" ")
        if method != "GET":
            return Reply(status=202)
        if path.endswith("?forbidden"):
            return Reply(status=403)
        polls.append(asked.headers["Authorization"])
        early = {1: 404, 2: 404, 3: 302}.get(len(polls))
        if early is not None:
            return Reply(status=early, headers={"Location": "/login"})
        if polls[-1] == "Bearer first-token":
            return Reply({"detail": "token has expired"}, status=401)
        return Reply({"status": "completed", "result": len(polls)})

    scripted.reply_if = answer
    forbidden = {"path": "/jobs/{external_id}?forbidden", "give_up_after": 1.5, **QUICK}
    stage = set_up(
        {
            "moment": {"service": "it", "polling": QUICK, "cancel": CANCEL},
            "for-ever": {"service": "it", "polling": forbidden, "cancel": CANCEL},
        },
        services={"it": {"url": scripted.url, "auth": {"bearer": {"file": str(token)}}}},
    )
    moment, for_ever = requests = jobs(stage, "moment", "for-ever")
    stage.start()
    stage.publish(*requests)
    eventually(lambda: len(polls) > 6, "the token is refused")
    token.write_text("second-token")
    ends = {end.correlation_id: end for end in ends_of(stage, requests)}
    end = ends[moment.correlation_id]
    assert end.state is JobState.SUCCEEDED
    assert from_bytes(end.result, end.result_type) == len(polls)
    error = ends[for_ever.correlation_id].error
    assert error is not None
    assert (error.type, error.retryable) == ("http_403", True)
    assert error.message.endswith("; the service cancelled it")
    deletes = [each.line for each in scripted.requests if each.line.startswith("DELETE")]
    assert deletes == [f"DELETE /jobs/{for_ever.correlation_id}"]
    assert any(
        "No usable answer about the job: GET http" in (event.message or "")
        for event in told(stage)[moment.correlation_id]
    )


def echo(asked: Request, asked_before: list[Request]) -> Reply:
    """Send back who the gateway is, in whatever place."""
    sent = (
        json.dumps(dict(asked.headers))
        + base64.b64decode(asked.headers["Authorization"].partition(" ")[2]).decode()
    )
    method, _, path = asked.line.partition(" ")
    if path.startswith("/redirect"):
        return Reply(status=302, headers={"Location": f"http://127.0.0.1:9/?{sent}"})
    if path.startswith("/refuse"):
        return Reply(("x" * 480 + sent).encode(), status=400)
    if method == "POST":
        return Reply(status=202)
    if sum(each.line == asked.line for each in asked_before) < 4:
        return Reply({"status": sent, "message": sent, "progress": {"completed": 1, "unit": sent}})
    if "/fail" in path:
        error = {"type": sent, "message": sent, "details": sent}
        return Reply({"status": "failed", "error": error})
    return Reply({"status": "completed", "result": {sent: [sent]}})


TELLS = """
echo "$KEY"
echo "$KEY" | while read line; do echo "read $line"; sleep 0.02; done
printf %s "$PASSWORD" | base64
printenv >&2
printf '%s' "$PASSWORD" | head -c 15
exit 3
"""


def test_no_way_out_of_a_gateway_shows_a_secret(
    set_up: SetUp, scripted: ScriptedService, tmp_path: Path
) -> None:
    """Neither events, results, errors, dead letters nor the log, at debug level, of any job."""
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "key").write_text(KEY_FILE)
    secret = {"file": str(tmp_path / "password")}
    scripted.reply_if = lambda asked: echo(asked, scripted.requests)

    def polled(name: str, **settings: object) -> dict[str, object]:
        return {
            "service": "it",
            "submit": {"path": f"/{name}"},
            "polling": {"path": f"/jobs/{name}", "give_up_after": 0.3, **QUICK},
            **settings,
        }

    tells = {
        "command": ["sh", "-c", TELLS],
        "environment": {"KEY": {"file": str(tmp_path / "key")}, "PASSWORD": secret},
        "inherit_environment": ["DEPLOY_TOKEN"],
    }
    stage = set_up(
        {
            **{name: polled(name) for name in ("redirect", "refuse", "fail", "succeed")},
            "tells": tells,
            "keeps-end": {**tells, "command": ["sh", "-c", 'echo "$KEY"'], "max_output_bytes": 70},
        },
        services={
            "it": {
                "url": scripted.url,
                "auth": {"basic": {"username": "airflow", "password": secret}},
                "headers": {"X-Key": {"env": "X_KEY"}},
            }
        },
    )
    inherited, key = "inherited-token-17", "key-4711-0815"
    program = stage.start("--log-level", "debug", DEPLOY_TOKEN=inherited, X_KEY=key)
    requests = jobs(stage, "redirect", "refuse", "fail", "succeed", "tells", "keeps-end")
    stage.publish(*requests)
    ends = ends_of(stage, requests)
    assert sorted(end.state for end in ends) == ["FAILED"] * 4 + ["SUCCEEDED"] * 2
    program.stop()
    said = program.said + repr(ends)
    for topic in (stage.responses, stage.dead_letters):
        for batch in scan(stage.config, topic, (), timeout=30):
            said += "".join(repr(Record.of(message)) for message in batch)
    pair = base64.b64encode(f"airflow:{PASSWORD}".encode()).decode()
    of_password = base64.b64encode(PASSWORD.encode()).decode()
    for form in (PASSWORD, pair, of_password, inherited, key, *KEY_FILE.splitlines()[1:-1]):
        for at in range(len(form) - 9):
            assert form[at : at + 10] not in said, form
    assert "***" in said
