"""``kafka-bridge gateway``: what a file configures, and the errors in it."""

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


def test_check_prints_how_each_job_type_runs(run: Run) -> None:
    """One row per job type: where it runs, how it is submitted, and how its end is detected."""
    code, output, errors = run("check", GOOD)
    assert (code, errors) == (0, "")
    head, *lines = output.splitlines()
    mode, where = head.index("mode"), head.index("runs on")
    rows = [[line[:mode], line[mode:where], line[where:]] for line in lines]
    assert [[cell.strip() for cell in row] for row in rows[:10]] == [
        ["audit.polled", "polling", "audits: http://audits:8000"],
        ["", "", "POST /jobs/{job_id}"],
        ["", "", "GET /jobs/{external_id} every 20 s"],
        ["audit.called", "callback", "audits: http://audits:8000"],
        ["", "", "POST /jobs/{job_id}"],
        ["", "", "then calls back"],
        ["audit.at-once", "synchronous", "http://functions/[audit]"],
        ["", "", "POST /jobs/{job_id}"],
        ["", "", "responds within 300 s"],
        ["audit.started", "command", "audit --folder {payload.directory}"],
    ]
    assert "Requests: topic jobs.requests, consumer group kafka-bridge-gateway" in output
    assert "at most 10,000 jobs at the same time in each gateway" in " ".join(output.split())
    assert "Callbacks: URL http://gateway:8080, listening on 127.0.0.1:8080, topic" in output
    assert "The service 'unused' is not used by any job." in output
    assert "hunter2" not in output


@pytest.mark.parametrize("command", ["check", "run"])
def test_each_error_of_a_file_is_printed_with_file_and_line(run: Run, command: str) -> None:
    """One line per error, as editors understand it; the exit code is 2."""
    code, output, errors = run(command, BAD)
    assert (code, output) == (2, "")
    assert errors.splitlines() == ERRORS


@pytest.mark.parametrize("command", ["check", "run"])
def test_error_names_a_missing_file(run: Run, command: str) -> None:
    """One line, and exit code 2."""
    assert run(command, None) == (
        2,
        "",
        "gateway.yaml cannot be read: No such file or directory\n",
    )


def test_run_without_brokers_names_the_variable_to_set(run: Run) -> None:
    """The file is valid, so the error is about the configuration of Kafka."""
    code, output, errors = run("run", GOOD)
    assert (code, output) == (1, "")
    assert "kafka-bridge: no Kafka brokers are configured: set KAFKA_BRIDGE_" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--concurrency", "0"), "--concurrency"),
        (
            ("--grace", "-1"),
            "expected a number of seconds, at least 0, or a duration such as 2m, not '-1'",
        ),
        (("--metrics-port", "65536"), "expected a port from 0 to 65535"),
        (("--log-format", "xml"), "'xml' is not one of 'text', 'json'"),
    ],
)
def test_invalid_option_is_reported_before_the_file_is_read(
    run: Run, options: tuple[str, ...], words: str
) -> None:
    """It is a usage error, as for a worker."""
    code, _, errors = run("run", BAD, *options)
    assert code == 2
    assert words in errors
    assert "gateway.yaml:" not in errors


def test_options_override_the_file(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """The value in effect is logged at the start."""
    caplog.set_level(logging.INFO)
    text = f"concurrency: 7\n{GOOD}"
    run("run", text, "--concurrency", "3")
    assert "audit.at-once, audit.called, audit.polled" in caplog.text
    assert "from topic jobs.requests, concurrency 3" in caplog.text
    run("run", text)
    assert "from topic jobs.requests, concurrency 7" in caplog.text
