"""What the file says of jobs that programs do, and what is said of its mistakes."""

from __future__ import annotations

import pytest
import yaml

from kafka_bridge.gateway.command.config import CommandJob
from unit.gateway.conftest import Load, Refusal


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("progress: '(\\d+)'", "5: jobs.a.progress: '(\\\\d+)' has no group (?P<completed>…): exp"),
        (
            "progress: '(?P<completed'",
            "5: jobs.a.progress: '(?P<completed' is not a regular expre",
        ),
        (
            "progress: '(?P<completed>.)(?P<done>.)'",
            "5: jobs.a.progress: unknown group done in '(?P<completed>.)(?P<done>.)': expected com",
        ),
        (
            "progress: {pattern: x}",
            "5: jobs.a.progress: expected json, or a string with a regula",
        ),
        ("result: xml", "5: jobs.a.result: expected 'auto', 'json', 'text' or 'none', not 'xml'"),
        ("timeout: 0", "5: jobs.a.timeout: expected a number greater than 0, not 0"),
        ("kill_after: soon", "5: jobs.a.kill_after: expected a number of at least 0, not 'soon'"),
        (
            "max_output_bytes: 0",
            "5: jobs.a.max_output_bytes: expected a whole number of at least 1",
        ),
        (
            "concurrency: many",
            "5: jobs.a.concurrency: expected a whole number of at least 1, not 'man",
        ),
        ("retryable_exit_codes: [0]", "5: jobs.a.retryable_exit_codes[0]: expected an exit code"),
        ("working_directory: /no/such", "5: jobs.a.working_directory: expected the path of an exi"),
        ("stdin: '{x'", "5: jobs.a.stdin: '{x' is not a JMESPath expression: "),
        (
            "stdin: load",
            "5: jobs.a.stdin: unknown name load in 'load': expressions can use attempt, ",
        ),
        ("environment: {A=B: c}", "5: jobs.a.environment.'A=B': expected a variable name, witho"),
        (
            "environment: {A: '{b}'}",
            "5: jobs.a.environment.A: unknown name b in the value: express",
        ),
        ("environment: {A: {env: NONE_SUCH}}", "5: jobs.a.environment.A: the environment variable"),
        ("enviroment: {}", "5: jobs.a.enviroment: unknown key, did you mean 'environment'?"),
    ],
)
def test_mistake_in_the_file_is_named(refusal: Refusal, lines: str, words: str) -> None:
    """With its line, its key, and what was expected."""
    said = refusal(f"jobs:\n  a:\n    command:\n      - audit\n    {lines}\n")
    assert said.startswith(f"gateway.yaml:{words}")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("[]", "2: jobs.a.command: expected at least one, but it is empty"),
        ("audit", "2: jobs.a.command: expected a list, not 'audit'"),
        ("['{payload.program}', x]", "2: jobs.a.command: the program, '{payload.program}', must"),
        ("['']", "2: jobs.a.command: expected the name of a program first, not an empty string"),
        ("[audit, 3]", "2: jobs.a.command[1]: expected a string, not 3; put it in quotes"),
    ],
)
def test_command_that_is_none_is_named(refusal: Refusal, command: str, words: str) -> None:
    """Which program runs is for the file to say, never for a payload."""
    assert refusal(f"jobs:\n  a: {{command: {command}}}\n").startswith(f"gateway.yaml:{words}")


@pytest.mark.parametrize(
    "command",
    [
        ["sh", "-c", "{payload.x}"],
        ["/bin/bash", "-lc", "audit {payload.x}"],
        ["env", "A=1", "sudo", "dash", "-o", "errexit", "-ec", "audit {payload.x}"],
        ["bash", "-c{payload.x}"],
        ["sh", "{payload.x}"],
        ["python3.12", "-u", "-c", "print({payload.x})"],
        ["perl", "-ne", "print if /{payload.x}/"],
        ["node", "--eval", "{payload.x}"],
        ["awk", "{payload.x}", "file"],
        ["awk", "-F", ":", "-v", "x=1", "{payload.x}", "file"],
        ["awk", "-F{payload.x}", "{payload.x}", "file"],
        ["awk", "-f", "{payload.x}", "file"],
        ["sh", "-v", "-c", "{payload.x}"],
    ],
)
def test_payload_cannot_become_code(refusal: Refusal, command: list[str]) -> None:
    """A shell, or another interpreter, would run what a payload says: the file is refused."""
    said = refusal(yaml.safe_dump({"jobs": {"a": {"command": command}}}))
    assert "is code for an interpreter, and a job could inject its own code" in said


@pytest.mark.parametrize(
    "command",
    [
        ["sh", "-c", 'audit "$1"', "-", "{payload.x}"],
        ["sh", "-e", "audit.sh", "-c", "{payload.x}"],
        ["python", "-m", "audit", "{payload.x}"],
        ["awk", "-v", "x={payload.x}", "$1 == x", "file"],
        ["awk", "-F", "{payload.x}", "-f", "audit.awk", "file"],
        ["python", "scripts/{payload.x}.py"],
        ["jq", ".rows", "{payload.x}"],
        ["audit", "-c", "{payload.x}"],
    ],
)
def test_payload_may_be_an_argument(load_text: Load, command: list[str]) -> None:
    """As values that a script is given, it is no code."""
    load_text(yaml.safe_dump({"jobs": {"a": {"command": command}}}))


def test_plainest_command_is_a_list(load_text: Load) -> None:
    """All else has a default."""
    job = load_text("jobs: {a: {command: [audit, '{payload.root}']}}\n").jobs["a"]
    assert isinstance(job, CommandJob)
    assert (job.program, job.timeout, job.retryable_exit_codes) == ("audit", None, None)
