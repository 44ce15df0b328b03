"""``kafka-bridge topics``: what can be said without a broker."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kafka_bridge.cli import topics
from kafka_bridge.cli.app import app
from kafka_bridge.kafka.admin.topics import TopicReport
from kafka_bridge.protocol.errors import ConfigurationError

from .output import plain


def run(*arguments: str, **environ: str) -> Result:
    """Run ``kafka-bridge topics`` within this process, with no brokers in the environment."""
    clean = {"COLUMNS": "200", "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": ""}
    return CliRunner().invoke(app, ["topics", *arguments], env={**clean, **environ})


@pytest.mark.parametrize("option", ["--longest-job", "--longest-wait"])
@pytest.mark.parametrize("command", ["create", "check"])
def test_bad_duration_is_a_usage_error(command: str, option: str) -> None:
    """The option and the right form are named; nothing is asked of Kafka."""
    result = run(command, option, "soon")
    assert result.exit_code == 2
    assert option in plain(result.output)
    assert "'soon' is not a duration. Examples: 90s, 30m, 12h, 7d" in plain(result.output)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create",), "no Kafka brokers are configured: set KAFKA_BRIDGE_BOOTSTRAP_SERVERS"),
        (("check",), "no Kafka brokers are configured: set KAFKA_BRIDGE_BOOTSTRAP_SERVERS"),
        (("create", "--longest-wait", "0s"), "the longest wait must be greater than 0 s"),
        (("create", "--replication", "0"), "replication must be at least 1, or -1"),
    ],
)
def test_missing_and_invalid_settings_are_configuration_errors(
    arguments: tuple[str, ...], words: str
) -> None:
    """They are errors that the command line turns into one line."""
    result = run(*arguments)
    assert isinstance(result.exception, ConfigurationError)
    assert words in str(result.exception)


def acls(*options: str) -> dict[str, list[list[str]]]:
    """Return by side the words of each line that ``topics acls`` prints."""
    result = run("acls", *options, KAFKA_BRIDGE_BOOTSTRAP_SERVERS="k:9092")
    assert result.exit_code == 0, result.output
    sides: dict[str, list[list[str]]] = {}
    for line in result.output.splitlines():
        if line.startswith("# "):
            sides[line.removeprefix("# ").partition(":")[0]] = []
        else:
            sides[list(sides)[-1]].append(shlex.split(line, comments=True))
    return sides


def test_acls_prints_commands_to_run_for_each_side() -> None:
    """Every line is a kafka-acls command with the cluster and the names that were given."""
    names = ("--requests", "q", "--responses", "a", "--control", "c", "--dead-letters", "d")
    principals = ("--airflow", "User:af", "--worker", "User:wk", "--operator", "User:op")
    sides = acls(*names, *principals, "--group", "grp", "--reader-group-prefix", "team-a.")
    expected = {"Airflow": "User:af", "The service's workers or gateways": "User:wk"}
    assert list(sides) == [*expected, "Operators"]
    for side, principal in (*expected.items(), ("Operators", "User:op")):
        for words in sides[side]:
            assert words[:3] == ["kafka-acls", "--bootstrap-server", "k:9092"]
            assert words[3:6] == ["--add", "--allow-principal", principal]
        readers = ["--group", "team-a.", "--resource-pattern-type", "prefixed"]
        assert [words for words in sides[side] if words[-4:] == readers]
    assert ["--operation", "Describe", "--group", "grp"] in [w[-4:] for w in sides["Airflow"]]


def test_acls_include_the_callback_topic_only_if_it_is_given() -> None:
    """The topic of callbacks takes one option, and is nowhere without it."""
    assert not [w for side in acls().values() for w in side if "jobs.callbacks" in w]
    sides = acls("--callbacks", "cb")
    assert [side for side, lines in sides.items() if any("cb" in words for words in lines)] == [
        "The service's workers or gateways",
        "Operators",
    ]


def test_acls_are_quoted_for_a_shell() -> None:
    """A principal that ends its quotes, a group with a command: each stays one word."""
    hostile = "x' ; id; '"
    sides = acls("--worker", f"User:{hostile}", "--group", "$(id)", "--command-config", "a b")
    lines = sides["The service's workers or gateways"]
    assert all(f"User:{hostile}" in words and "a b" in words for words in lines)
    assert any("$(id)" in words for words in lines)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--worker", "wk"), "'wk' is not a Kafka principal. Example: User:name"),
        (("--airflow", "User:"), "'User:' is not a Kafka principal"),
    ],
)
def test_acls_refuses_an_invalid_principal(options: tuple[str, ...], words: str) -> None:
    """kafka-acls would refuse it, one line after the other."""
    result = run("acls", *options, KAFKA_BRIDGE_BOOTSTRAP_SERVERS="k:9092")
    assert result.exit_code == 2
    assert words in plain(result.output)


def test_acls_without_a_cluster_names_the_variable_and_the_option() -> None:
    """A line without --bootstrap-server does not run."""
    said = str(run("acls").exception)
    assert "set KAFKA_BRIDGE_BOOTSTRAP_SERVERS" in said
    assert "or --bootstrap-servers" in said


def report(name: str, **about: Any) -> TopicReport:
    """Return a report on a topic that is as it should be, but for what is given."""
    return TopicReport(name, 6, 1, {"retention.ms": str(8 * 86_400_000)}, **about)


def test_each_finding_is_printed_once_with_the_topics_that_have_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Four topics with one fault are one line; the table has a mark and a duration in words."""
    reports = [
        report("a", problems=("compacted",), unsafe=("one copy",), advice=("compressed",)),
        report("b", unsafe=("one copy",)),
        report("c", advice=("compressed",)),
        report("d"),
        TopicReport("e", problems=("it does not exist",)),
    ]
    topics._print(reports)
    assert capsys.readouterr().out.splitlines() == [
        "topic  partitions  replication  retention  check",
        "a      6           1            8 days     ✗",
        "b      6           1            8 days     ✗",
        "c      6           1            8 days     !",
        "d      6           1            8 days     ✓",
        "e      –           –            –          ✗",
        "✗ a: compacted",
        "✗ a, b: one copy",
        "! a, c: compressed",
        "✗ e: it does not exist",
    ]
