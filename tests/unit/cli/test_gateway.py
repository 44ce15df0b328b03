"""``kafka-bridge gateway``: what a file does, and what is wrong in it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kafka_bridge.cli import main

from .output import plain

GOOD = """
services:
  audits: {url: "http://audits:8000", auth: {bearer: {env: AUDITS_TOKEN}}}
  unused: {url: "http://unused:8000"}
callbacks: {public_url: "http://gateway:8080", secret: {env: AUDITS_TOKEN}}
jobs:
  audit.polled: {service: audits, polling: {interval: 20}}
  audit.called: {service: audits, mode: callback}
  audit.at-once: {url: "http://functions/[audit]", mode: synchronous}
  audit.started: {command: [audit, "--folder", "{payload.directory}"]}
"""
BAD = """
jobs:
  audit.polled: {url: "http://audits", mode: poling}
  audit.called: {url: "http://audits", pol: 1}
"""
ERRORS = [
    "gateway.yaml:3: jobs.audit.polled.mode: expected 'polling', 'callback' or 'synchronous', not "
    "'poling'",
    "gateway.yaml:4: jobs.audit.called.pol: unknown key, did you mean 'polling'?",
]

Said = tuple[int, str, str]
Run = Callable[..., Said]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give a function that runs a command on a text; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("AUDITS_TOKEN", "hunter2, hunter2, hunter2")
    monkeypatch.delenv("KAFKA_BRIDGE_BOOTSTRAP_SERVERS", raising=False)

    def run(command: str, text: str | None, *options: str) -> Said:
        if text is not None:
            Path("gateway.yaml").write_text(text)
        monkeypatch.setattr(
            sys, "argv", ["kafka-bridge", "gateway", command, "gateway.yaml", *options]
        )
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return code, said.out, plain(said.err)

    return run


def test_check_says_what_each_job_type_does(run: Run) -> None:
    """Who does it, how it is begun, and how its end is known: in a row of its own."""
    code, output, errors = run("check", GOOD)
    assert (code, errors) == (0, "")
    rows = [line.split("│")[1:-1] for line in output.splitlines() if "│" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["audit.polled", "polling", "audits: http://audits:8000"],
        ["", "", "POST /jobs/{job_id}"],
        ["", "", "GET /jobs/{external_id} every 20 s"],
        ["audit.called", "callback", "audits: http://audits:8000"],
        ["", "", "POST /jobs/{job_id}"],
        ["", "", "then calls back"],
        ["audit.at-once", "synchronous", "http://functions/[audit]"],
        ["", "", "POST /jobs/{job_id}"],
        ["", "", "answers within 300 s"],
        ["audit.started", "command", "audit --folder {payload.directory}"],
    ]
    assert "Jobs come from jobs.requests, to group kafka-bridge-gateway, 10,000 at a time" in output
    assert "Callbacks arrive at http://gateway:8080, listened for on 127.0.0.1:8080" in output
    assert "No job uses the service 'unused'." in output
    assert "hunter2" not in output


@pytest.mark.parametrize("command", ["check", "run"])
def test_bad_file_is_said_line_by_line(run: Run, command: str) -> None:
    """Each mistake is a line of its own that begins with its place; the exit code is 2."""
    code, output, errors = run(command, BAD)
    assert (code, output) == (2, "")
    assert errors.splitlines() == ERRORS


@pytest.mark.parametrize("command", ["check", "run"])
def test_missing_file_is_named(run: Run, command: str) -> None:
    """It is said in one line, with exit code 2."""
    assert run(command, None) == (
        2,
        "",
        "gateway.yaml cannot be read: No such file or directory\n",
    )


def test_run_needs_brokers(run: Run) -> None:
    """A good file gets as far as Kafka, whose configuration is missed in words."""
    code, output, errors = run("run", GOOD)
    assert (code, output) == (1, "")
    assert "kafka-bridge: no Kafka brokers are configured: set KAFKA_BRIDGE_" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--concurrency", "0"), "--concurrency"),
        (("--grace", "-1"), "expected a number of seconds, at least 0, not '-1'"),
        (("--metrics-port", "65536"), "should be less than or equal to 65535"),
        (("--log-format", "xml"), "'xml' is not one of 'text', 'json'"),
    ],
)
def test_bad_option_is_said_before_the_file_is_read(
    run: Run, options: tuple[str, ...], words: str
) -> None:
    """An option's mistake is a usage error, as that of a worker."""
    code, _, errors = run("run", BAD, *options)
    assert code == 2
    assert words in errors
    assert "gateway.yaml:" not in errors


def test_options_have_the_last_word(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """What the command line says counts more than the file, and is logged at the start."""
    caplog.set_level(logging.INFO)
    text = f"concurrency: 7\n{GOOD}"
    run("run", text, "--concurrency", "3")
    assert "audit.at-once, audit.called, audit.polled" in caplog.text
    assert "from jobs.requests, 3 at a time" in caplog.text
    run("run", text)
    assert "from jobs.requests, 7 at a time" in caplog.text
