"""``kafka-bridge doctor``: its report, and what it finds without a real broker."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from kafka_bridge.cli.app import app
from kafka_bridge.cli.doctor.report import findings, report
from kafka_bridge.findings import Check, Finding, Level, error, ok, warning
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.testing import EmbeddedBroker
from kafka_bridge.testing.ports import free_port

PLENTY = 60.0
SECRET = "a-secret-word"
CHECKS = [
    Check("first", lambda _: [ok("as it should be.", "Look again."), warning("odd")]),
    Check("second", lambda _: [error("bad")]),
]


class Terminal(io.StringIO):
    """A terminal with an encoding."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """Return true."""
        return True


def lines(checks: list[Check], monkeypatch: pytest.MonkeyPatch, out: io.StringIO) -> list[str]:
    """Return the lines of a report."""
    monkeypatch.setattr(sys, "stdout", out)
    with contextlib.suppress(typer.Exit):
        report(checks, PLENTY, as_json=False)
    return out.getvalue().splitlines()


def test_lines_on_a_terminal_begin_with_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for each finding, advice included; the last line counts."""
    assert lines(CHECKS, monkeypatch, Terminal()) == [
        "✓ first: as it should be. Look again.",
        "! first: odd",
        "✗ second: bad",
        "1 error, 1 warning.",
    ]


def test_lines_begin_with_words_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pipe, and on a terminal without UTF-8."""
    expected = [
        "ok      first: as it should be. Look again.",
        "warning first: odd",
        "error   second: bad",
        "1 error, 1 warning.",
    ]
    assert lines(CHECKS, monkeypatch, io.StringIO()) == expected
    terminal = Terminal()
    terminal.encoding = "latin-1"
    assert lines(CHECKS, monkeypatch, terminal) == expected


def test_characters_that_the_output_does_not_have_are_escaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A line break of a text cannot begin another line."""
    terminal = Terminal()
    terminal.encoding = "ascii"
    (line, last) = lines([Check("a", lambda _: [ok("é\nb")])], monkeypatch, terminal)
    assert line == r"ok      a: \xe9\nb"
    assert last == "no errors, no warnings."


def test_json_has_all_findings_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a check prints or logs is not in the document."""

    def noisy(_: float) -> Iterator[Finding]:
        sys.stdout.write("noise\n")
        yield ok("fine")

    with pytest.raises(typer.Exit) as ended:
        report([Check("noisy", noisy), *CHECKS[1:]], PLENTY, as_json=True)
    assert ended.value.exit_code == 1
    assert json.loads(capsys.readouterr().out) == {
        "errors": 1,
        "warnings": 0,
        "findings": [
            {"check": "noisy", "level": "ok", "text": "fine", "advice": ""},
            {"check": "second", "level": "error", "text": "bad", "advice": ""},
        ],
    }


def test_failure_of_a_check_is_a_finding_and_keeps_the_earlier_ones() -> None:
    """An error of the bridge is its text; another one names its type."""

    def fails(_: float) -> Iterator[Finding]:
        yield ok("so far")
        raise KeyError("x")

    def refuses(_: float) -> Iterator[Finding]:
        yield from ()
        raise ConfigurationError("set it")

    assert list(findings(Check("a", fails), PLENTY)) == [
        ok("so far"),
        error("the check failed: KeyError: 'x'"),
    ]
    assert list(findings(Check("a", refuses), PLENTY)) == [error("set it")]


def test_check_without_an_answer_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """The time of all checks is limited; what was not answered is an error."""
    end = threading.Event()

    def hangs(_: float) -> Iterator[Finding]:
        end.wait(PLENTY)
        yield ok("too late")

    try:
        with pytest.raises(typer.Exit):
            report([Check(name, hangs) for name in "abc"], 1.0, as_json=False)
    finally:
        end.set()
    advice = "Look at what does not answer, or allow more time with --timeout."
    first, *_, third, last = capsys.readouterr().out.splitlines()
    assert first == f"error   a: no answer within 0.5 s. {advice}"
    assert third == f"error   c: not checked: 1 s were over. {advice}"
    assert last == "3 errors, no warnings."


def run(*arguments: str, **environ: str) -> Result:
    """Run ``kafka-bridge doctor`` within this process, with these variables of kafka-bridge."""
    clean = {"KAFKA_BRIDGE_BOOTSTRAP_SERVERS": "", "KAFKA_BRIDGE_GROUP_ID": "", "COLUMNS": "200"}
    return CliRunner().invoke(app, ["doctor", *arguments], env={**clean, **environ})


def test_worker_on_an_embedded_broker() -> None:
    """Topics exist or not; what such a broker cannot answer is left out."""
    with EmbeddedBroker(["jobs.requests", "jobs.responses", "jobs.control"]) as broker:
        result = run(
            *("worker", "--bootstrap-servers", broker.bootstrap_servers),
            KAFKA_BRIDGE_GROUP_ID="g",
        )
    assert result.exit_code == 1, result.output
    out = result.stdout.splitlines()
    assert "ok      topic jobs.requests: 4 partitions" in out
    assert any(line.startswith("error   topic jobs.dead-letters: topic 'jobs.d") for line in out)
    assert any("its data are gone when it stops" in line for line in out)
    assert not [line for line in out if "permissions" in line.split(":")[0]]
    assert out[-1].startswith("1 error, ")


def test_broker_that_accepts_connections_and_says_nothing_is_an_error() -> None:
    """The time is limited, whatever librdkafka does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        servers = f"127.0.0.1:{server.getsockname()[1]}"
        result = run("worker", "--timeout", "2", KAFKA_BRIDGE_BOOTSTRAP_SERVERS=servers)
    assert result.exit_code == 1
    assert "error " in result.stdout
    assert "topic jobs.requests" not in result.stdout


def test_missing_brokers_are_an_error_beside_the_variables() -> None:
    """The error names the variable."""
    result = run("worker", KAFKA_BRIDGE_METRICS_PORT="x")
    assert result.exit_code == 1
    assert "error   variables: KAFKA_BRIDGE_METRICS_PORT must be a whole number" in result.stdout
    assert "error   configuration: no Kafka brokers are configured: set" in result.stdout
    assert "warning program: the consumer group is not known: KAFKA_BRIDGE_GROUP_ID is not" in (
        result.stdout
    )


def test_secret_in_an_error_is_masked() -> None:
    """A value of a secret property is printed nowhere, even if librdkafka repeats it."""
    result = run(
        "worker",
        KAFKA_BRIDGE_BOOTSTRAP_SERVERS=f"{SECRET}:port",
        KAFKA_BRIDGE_KAFKA_SASL_PASSWORD=SECRET,
    )
    assert "'***:port'" in result.stdout
    assert SECRET not in result.output


PROGRAM = """
from kafka_bridge.worker import Worker
worker = Worker("thumbnailers", request_topic="images.requests", concurrency=2)
@worker.job("images.thumbnail")
def thumbnail(job, payload): ...
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder with a worker's program."""
    (tmp_path / "doctored_service.py").write_text(PROGRAM)
    monkeypatch.setattr(sys, "path", list(sys.path))
    importlib.invalidate_caches()
    yield tmp_path
    sys.modules.pop("doctored_service", None)


def test_settings_of_the_program_are_checked(program: Path) -> None:
    """Its group and topics count, and the variables that it overrides are found."""
    result = run(
        *("worker", "doctored_service:worker", "--app-dir", str(program)),
        KAFKA_BRIDGE_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}",
        KAFKA_BRIDGE_GROUP_ID="another",
        KAFKA_BRIDGE_CONCURRENCY="8",  # `worker run` has an option for it: it wins
    )
    out = result.stdout
    assert "ok      program: group 'thumbnailers', job types: images.thumbnail" in out
    assert "KAFKA_BRIDGE_GROUP_ID=another is not used: the program sets group_id to" in out
    assert "CONCURRENCY" not in out
    assert "Connection refused" in out


def test_check_of_a_worker_also_lists_its_handlers_and_what_sets_each_setting(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All in one place, without a job."""
    for name, value in (
        ("BOOTSTRAP_SERVERS", f"127.0.0.1:{free_port()}"),
        ("GRACE_SECONDS", "7"),
    ):
        monkeypatch.setenv(f"KAFKA_BRIDGE_{name}", value)
    result = CliRunner().invoke(
        app, ["worker", "check", "doctored_service:worker", "--app-dir", str(program)]
    )
    assert result.exit_code == 1  # there is no broker
    for line in (
        "handlers: images.thumbnail: thumbnail(job, payload), on a thread",
        "settings: group_id = thumbnailers (the program)",
        "settings: request_topic = images.requests (the program)",
        "settings: grace = 7.0 (KAFKA_BRIDGE_GRACE_SECONDS)",
        "settings: max_deliveries = 5 (default)",
    ):
        assert f"ok      {line}" in result.stdout
    assert "error   bootstrap servers: " in result.stdout


def test_program_that_cannot_be_loaded_does_not_end_the_checks(program: Path) -> None:
    """The environment is checked in its place."""
    result = run(
        *("worker", "doctored_service:nothing", "--app-dir", str(program)),
        KAFKA_BRIDGE_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}",
    )
    assert "error   program: module 'doctored_service' has no attribute 'nothing'" in result.stdout
    assert "warning program: the topics and the group of the environment are" in result.stdout
    assert "the consumer group is not known" not in result.stdout
    assert "Connection refused" in result.stdout
    assert run("worker", "no-colon").exit_code == 2


def test_gateway_has_the_topics_of_its_file(tmp_path: Path) -> None:
    """Each fault of a file is a finding of its own."""
    file = tmp_path / "gateway.yaml"
    file.write_text("request_topic: audits.requests\njobs: {a.b: {url: 'http://127.0.0.1:9'}}\n")
    with EmbeddedBroker(["audits.requests"]) as broker:
        servers = broker.bootstrap_servers
        result = run("gateway", str(file), KAFKA_BRIDGE_BOOTSTRAP_SERVERS=servers)
    assert "ok      program: group 'kafka-bridge-gateway', job types: a.b" in result.stdout
    assert "ok      topic audits.requests: 4 partitions" in result.stdout
    file.write_text("jobs: {a.b: {no: 1}}\nnot: known\n")
    result = run("gateway", str(file), KAFKA_BRIDGE_BOOTSTRAP_SERVERS=servers)
    faults = [line for line in result.stdout.splitlines() if line.startswith("error   program")]
    assert len(faults) >= 2
    assert all("gateway.yaml:" in line for line in faults)


def test_airflow_that_is_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the Python that was asked."""
    module = importlib.import_module("kafka_bridge.cli.doctor.airflow")
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    result = run("airflow")
    assert isinstance(result.exception, ConfigurationError)
    assert f"Airflow is not installed in this Python ({sys.executable})" in str(result.exception)


def test_levels_are_words_for_machines() -> None:
    """The names are part of the command's output."""
    assert [str(each) for each in Level] == ["ok", "warning", "error"]
