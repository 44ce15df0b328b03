"""The arguments, environment, working directory and standard input of a program."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_bridge.gateway.command.config import CommandJob
from kafka_bridge.gateway.command.invocation import invocation_of
from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.gateway import Gateway
from kafka_bridge.protocol.messages import JobState, Reference
from kafka_bridge.testing.jobs import run_job
from kafka_bridge.worker import ApplicationError
from unit.examples_count import examples
from unit.gateway.command.conftest import Do, Gate, Script, started
from unit.gateway.started_job import JOB

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
SHOW = ["printf", r"%s\n"]


@pytest.mark.slow
@given(payload=st.fixed_dictionaries({"one": texts, "many": st.lists(texts, max_size=20)}))
@settings(derandomize=True, max_examples=examples(30), deadline=None)
def test_any_text_arrives_unchanged(payload: dict[str, Any]) -> None:
    """Quotes, dollars, line breaks, options, empty texts: no shell and no template changes them."""
    with tempfile.TemporaryDirectory() as folder:
        write = ["sh", "-c", r'cd "$1"; shift; printf "%s\0" "$@" "$VARIABLE" > seen', "-", folder]
        job = {
            "command": [*write, "{payload.one}", "={payload.one}=", "{payload.many}"],
            "environment": {"VARIABLE": "{payload.one}"},
        }
        config = GatewayConfig.model_validate({"jobs": {"work": job}})
        assert run_job(Gateway(config).worker, "work", payload).state is JobState.SUCCEEDED
        one = payload["one"]
        seen = (Path(folder) / "seen").read_bytes().decode().split("\0")[:-1]
    assert seen == [one, f"={one}=", *payload["many"], one]


@pytest.mark.parametrize(
    ("argument", "arguments"),
    [
        ("{payload.files}", ["a b", "3"]),
        ("{payload.files[]}", ["a b", "3"]),
        ("x{payload.files}", ['x["a b", 3]']),
        ("{payload.none}", []),
        ("{payload.object}", ['{"deep": true}']),
        ("{payload.number}", ["1.5"]),
        ("{job_id} {job_type} {attempt} {delivery}", [f"{JOB} work 1 1"]),
        ("{{}}", ["{}"]),
    ],
)
def test_list_becomes_arguments_and_any_other_value_is_one(
    do: Do, argument: str, arguments: list[str]
) -> None:
    """A list beside other text is JSON, as is any value that is not text."""
    payload = {"files": ["a b", 3], "none": [], "object": {"deep": True}, "number": 1.5}
    outcome = do({"command": [*SHOW, "first", argument], "result": "text"}, payload)
    assert outcome.result.split("\n") == ["first", *arguments]


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"command": ["echo", "{payload.b}"]}, "command[1]: {payload.b} is null or missing"),
        ({"command": ["echo", "-{payload.null}"]}, "command[1]: {payload.null} is null or missing"),
        ({"command": ["echo", "{payload.holes}"]}, "command[1]: {payload.holes} is null or missin"),
        ({"command": ["echo", "{sum(payload.a)}"]}, "command[1]: the expression 'sum(payload.a)'"),
        ({"command": ["echo", "{payload.nul}"]}, "command[1] contains a NUL character"),
        (
            {"command": ["env"], "environment": {"A": "{payload.b}"}},
            "environment.A: {payload.b} is null or missing",
        ),
        ({"command": ["cat"], "stdin": "sum(payload.a)"}, "stdin: the expression 'sum(payload.a)'"),
    ],
)
def test_error_names_the_placeholder_that_the_payload_does_not_fill(
    do: Do, job: dict[str, Any], words: str
) -> None:
    """The program is not started; a retry cannot help."""
    outcome = do(job, {"a": "text", "null": None, "holes": [1, None], "nul": "a\0b"})
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.retryable) == ("invalid_payload", False)
    said = f"the program cannot be started with this payload: {words}"
    assert outcome.error.message.startswith(said)


def test_environment_is_that_of_the_file(do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the gateway's own variables it has harmless ones and configured ones only."""
    for name, value in {
        "KAFKA_BRIDGE_KAFKA_SASL_PASSWORD": "hunter2",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "JAVA_HOME": "/opt/java",
        "LANG": "C",
        "A_TOKEN": "s3cr3t",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LC_ALL", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    outcome = do(
        {
            "command": ["env"],
            "inherit_environment": ["JAVA_HOME", "NOT_SET"],
            "environment": {"RUN": "{payload.run} for {job_id}", "TOKEN": {"env": "A_TOKEN"}},
            "result": "text",
        },
        {"run": 7},
    )
    seen = dict(line.split("=", 1) for line in outcome.result.splitlines())
    assert seen.pop("PATH")
    assert seen == {
        "HOME": "/home/me",
        "LANG": "C",
        "JAVA_HOME": "/opt/java",
        "RUN": f"7 for {JOB}",
        "TOKEN": "***",
    }


def test_secret_is_masked_in_all_output(
    do: Do, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program receives it, but no message, error or result shows it."""
    monkeypatch.setenv("A_TOKEN", "s3cr3t")
    (tmp_path / "password").write_text("hunter2\n")
    show = 'echo "$ONE and $TWO" >&2; printf %s "$ONE$TWO" > "$1"; '
    job = {
        "environment": {"ONE": {"env": "A_TOKEN"}, "TWO": {"file": str(tmp_path / "password")}},
        "result": "json",
    }
    failed = do(job | {"command": ["sh", "-c", f"{show} exit 3", "-", str(tmp_path / "seen")]})
    assert (tmp_path / "seen").read_text() == "s3cr3thunter2"
    assert failed.error is not None
    assert failed.error.message == "sh failed with exit code 3: *** and ***"
    succeeded = do(job | {"command": ["sh", "-c", """echo "[\\"$ONE\\"]" """]})
    assert succeeded.result == ["***"]
    assert "s3cr3t" not in repr((failed, succeeded))
    assert '["***"]' in [event.message for event in succeeded.events]


async def test_secret_is_masked_in_any_form(
    do: Do, sh: Script, gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key in lines, in base64, and cut where the stored output begins; inherited tokens, too."""
    key = "\n".join(["-----BEGIN KEY-----", *(f"line-{n}-{'k' * 40}" for n in range(5))])
    (tmp_path / "key").write_text(key)
    monkeypatch.setenv("DEPLOY_TOKEN", "inherited-4711")
    monkeypatch.setenv("REGION", "inherited-eu")
    config = {
        "environment": {"KEY": {"file": str(tmp_path / "key")}},
        "inherit_environment": ["DEPLOY_TOKEN", "REGION"],
        "max_output_bytes": 60,
    }
    lines = 'echo "$KEY" | while read line; do echo "> $line"; read go < gate; done; '
    rest = 'printf %s "$KEY" | base64 -w 0; echo; echo "$DEPLOY_TOKEN $REGION"; exit 1'
    job = started(config | {"command": sh(lines + rest)})
    for masked in range(6):  # the first line is held back: the whole key might follow
        await job.has_published(messages=masked)
        gate.open()
    with pytest.raises(ApplicationError) as failed:
        await job.task
    assert str(failed.value).endswith("*** inherited-eu")
    job_with_cut_output = started(config | {"command": ["sh", "-c", 'printf "%s" "$KEY"']})
    result = await job_with_cut_output.task
    shown = repr((str(failed.value), failed.value.details, job.messages, result))
    shown += repr(job_with_cut_output.messages)
    for line in key.splitlines()[1:]:
        assert not any(line[at : at + 12] in shown for at in range(len(line) - 11))
    assert "> ***" in job.messages


def test_missing_secret_fails_the_job(do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may exist again at the next try."""
    monkeypatch.setenv("A_TOKEN", "s3cr3t")
    config = CommandJob.model_validate(
        {"command": ["true"], "environment": {"A": {"env": "A_TOKEN"}}}
    )
    monkeypatch.delenv("A_TOKEN")
    with pytest.raises(ApplicationError, match="true cannot be started: the environment variable"):
        invocation_of(config, {"payload": None})


@pytest.mark.parametrize(
    ("stdin", "seen"), [("payload.a", '{"ä": [1]}\n'), ("payload.b", "null\n"), (None, "")]
)
def test_standard_input_is_a_line_of_json_or_empty(do: Do, stdin: str | None, seen: str) -> None:
    """A program that reads it does not wait for more."""
    job = {"command": ["sh", "-c", "cat; echo ."], "stdin": stdin, "result": "text"}
    outcome = do(job, {"a": {"ä": [1]}})
    assert outcome.result.removesuffix(".") == seen.replace(" ", "")


def test_lone_surrogate_in_a_payload_is_refused() -> None:
    """JSON of another publisher may contain one; a retry cannot help."""
    for job in ({"stdin": "payload"}, {"command": ["cat", "{payload.name}"]}):
        config = CommandJob.model_validate({"command": ["cat"]} | job)
        with pytest.raises(ApplicationError) as failure:
            invocation_of(config, {"payload": {"name": "a\ud83d"}})
        assert (failure.value.type, failure.value.retryable) == ("invalid_payload", False)


def test_large_standard_input_may_be_read_late_or_never(do: Do) -> None:
    """Neither the program nor the gateway waits for the other."""
    large = "x" * 500_000
    reads = {"command": ["sh", "-c", "sleep 0.1; wc -c"], "stdin": "payload", "result": "json"}
    assert do(reads, large).result == len(json.dumps(large)) + 1
    assert do({"command": ["true"], "stdin": "payload"}, large).state is JobState.SUCCEEDED


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells it")
def test_program_has_standard_files_and_default_signals(do: Do) -> None:
    """Only the usual three files are open (and its own), and no signal is ignored or blocked."""
    show = "ls /proc/self/fd; grep -E 'SigBlk|SigIgn' /proc/self/status"
    outcome = do({"command": ["sh", "-c", show], "result": "text"})
    *files, blocked, ignored = outcome.result.split("\n")
    assert files == ["0", "1", "2", "3"]
    usual = 2**31 - 1  # the C library has two of its own after those
    assert int(blocked.split()[1], 16) == int(ignored.split()[1], 16) & usual == 0


def test_program_runs_in_its_working_directory(do: Do, tmp_path: Path) -> None:
    """A relative path of the program begins there too."""
    program = tmp_path / "here"
    program.write_text("#!/bin/sh\npwd -P\n")
    program.chmod(0o755)
    job = {"command": ["./here"], "working_directory": str(tmp_path), "result": "text"}
    assert do(job).result == str(tmp_path.resolve())


def test_reference_to_a_payload_is_refused(do: Do, tmp_path: Path) -> None:
    """The program is not started without its payload."""
    reference = Reference("s3://inputs/march.csv", "0" * 64, 5)
    outcome = do({"command": ["touch", str(tmp_path / "ran")]}, payload_ref=reference)
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.retryable) == ("unsupported_reference", False)
    assert not (tmp_path / "ran").exists()
