"""Versions, provider, plugin and connection of an installed Airflow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from kafka_bridge.airflow.checkup import installation
from kafka_bridge.airflow.checkup.connection import ConnectionLookup
from kafka_bridge.airflow.checkup.sequence import airflow_checks
from kafka_bridge.findings import Check, Finding, Level, error, ok, warning
from kafka_bridge.testing import EmbeddedBroker

VARIABLE = "AIRFLOW_CONN_KAFKA_DEFAULT"


def test_installed_versions_fit() -> None:
    """Those of these tests are what the package requires."""
    (finding,) = installation.versions(60)
    assert finding == ok(
        f"apache-airflow {metadata.version('apache-airflow')}, "
        "apache-airflow-providers-apache-kafka "
        f"{metadata.version('apache-airflow-providers-apache-kafka')}"
    )


def test_version_that_does_not_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is a package that is missing; the advice is what to install."""
    (wanted,) = [
        requirement.specifier
        for requirement in map(Requirement, metadata.requires("airflow-kafka-bridge") or [])
        if requirement.name == "apache-airflow"
    ]
    others = {"apache-airflow": "3.0.6", "apache-airflow-providers-apache-kafka": None}
    installed = installation._installed
    monkeypatch.setattr(
        installation, "_installed", lambda name: others[name] if name in others else installed(name)
    )
    first, second, third = installation.versions(60)
    assert first == ok("apache-airflow 3.0.6")
    assert second.text == f"apache-airflow 3.0.6 is installed, and kafka-bridge needs {wanted}"
    assert second.advice == f"Install it with pip: pip install 'apache-airflow{wanted}'."
    assert third.text == (
        "apache-airflow-providers-apache-kafka is not installed, and kafka-bridge needs it"
    )
    assert {second.level, third.level} == {Level.ERROR}


def test_modules_without_their_package_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder on the Python path has no entry points, so Airflow does not find the provider."""

    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    *_, finding = installation.versions(60)
    assert finding.level is Level.WARNING
    assert "airflow-kafka-bridge is not installed in this Python" in finding.text


def test_provider_and_plugin_are_loaded() -> None:
    """In an Airflow that has them."""
    (provider,), (plugin,) = installation.provider(60), installation.plugin(60)
    assert provider == ok("Airflow has loaded the provider airflow-kafka-bridge")
    assert plugin == ok("Airflow can load the plugin kafka_bridge here; the API server needs it")


def test_missing_provider_and_plugin_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin's own error is named."""
    from airflow import plugins_manager
    from airflow.providers_manager import ProvidersManager

    monkeypatch.setattr(ProvidersManager, "providers", {})
    monkeypatch.setattr(plugins_manager, "get_plugin_info", lambda _: [{"name": "other"}])
    errors = {"kafka_bridge": "no module x", "other": "unrelated"}
    monkeypatch.setattr(installation, "plugin_import_errors", lambda: errors)
    (provider,), (plugin,) = installation.provider(60), installation.plugin(60)
    assert provider.level is Level.ERROR
    assert plugin.level is Level.ERROR
    assert plugin.text.startswith(
        "Airflow cannot load the plugin kafka_bridge (kafka_bridge: no module x): marking a task"
    )


def look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, extra: object | None) -> list[Finding]:
    """Look for the default connection on a machine without Airflow's database."""
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path}/none.db")
    monkeypatch.delenv(VARIABLE, raising=False)
    if extra is not None:
        monkeypatch.setenv(VARIABLE, json.dumps({"conn_type": "kafka", "extra": extra}))
    return list(ConnectionLookup("kafka_default").check(60))


def test_connection_of_the_environment_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its properties are named, without their values."""
    extra = {"bootstrap.servers": "kafka:9092", "sasl.password": "a-secret-word"}
    assert look(monkeypatch, tmp_path, extra) == [
        ok(
            "found in the environment or a secrets backend; its properties: bootstrap.servers, "
            "sasl.password"
        )
    ]


def test_faulty_extra_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the words of a task."""
    assert look(monkeypatch, tmp_path, {"group.id": "g"}) == [
        error(
            "the extra of connection 'kafka_default' cannot be used: config['bootstrap.servers'] "
            "must be provided."
        )
    ]


def test_connection_that_only_the_database_may_have_is_not_called_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A worker of Airflow cannot ask the database; tasks ask the API server."""
    (finding,) = look(monkeypatch, tmp_path, None)
    assert finding.level is Level.WARNING
    assert finding.text.startswith(f"not in the environment ({VARIABLE}) or a secrets backend; ")
    assert f"or set {VARIABLE} for this run" in finding.advice
    assert list(tmp_path.iterdir()) == []


def test_checks_go_on_to_kafka_with_the_connection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its topics are those of the configuration; dead letters are no concern of Airflow."""
    with EmbeddedBroker(["jobs.requests"]) as broker:
        look(monkeypatch, tmp_path, {"bootstrap.servers": broker.bootstrap_servers})
        monkeypatch.setenv("AIRFLOW__KAFKA_BRIDGE__CONTROL_TOPIC", "my.control")
        found = {check.subject: list(check.run(60)) for check in _kafka_part()}
    assert found["topic jobs.requests"] == [ok("4 partitions")]
    assert found["topic my.control"][0].level is Level.ERROR
    assert "topic jobs.dead-letters" not in found


def test_without_a_connection_nothing_is_asked_of_kafka(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One finding says so."""
    look(monkeypatch, tmp_path, None)
    *_, last = [list(check.run(60)) for check in _kafka_part()]
    assert last == [warning("not checked, because Airflow's connection is not known")]


def _kafka_part() -> Iterator[Check]:
    """Yield the checks from the connection on; the generator needs each to be run."""
    week = timedelta(days=7)
    is_kafka = False
    for check in airflow_checks(week, week):
        is_kafka = is_kafka or check.subject.startswith("connection ")
        if is_kafka:
            yield check
