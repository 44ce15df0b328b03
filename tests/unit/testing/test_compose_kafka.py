"""Kafka by Docker Compose: the calls of docker, and the errors if it cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from kafka_bridge.testing import BrokerStartFailed, BrokerUnavailable, ComposeKafka
from kafka_bridge.testing.brokers import compose

COMPOSE_FILE = Path(__file__).parents[3] / compose.COMPOSE_FILE


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file to which the fake docker writes its calls."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "calls"


def docker(calls: Path, body: str = "") -> None:
    """Install a `docker` that writes down its arguments and then runs a script."""
    script = calls.with_name("docker")
    script.write_text(f'#!/bin/sh\necho "$KAFKA_PORT $*" >> "{calls}"\n{body}\n')
    script.chmod(0o755)


def test_missing_docker_is_an_error(calls: Path) -> None:
    """It differs from the error of a machine whose engine is stopped."""
    with pytest.raises(BrokerUnavailable, match="no 'docker' on PATH"):
        ComposeKafka().start()


def test_error_without_an_engine_has_the_message_of_docker(calls: Path) -> None:
    """The client is installed, but the engine does not run."""
    docker(calls, "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    with pytest.raises(BrokerUnavailable, match=r"no Docker engine answers: Cannot connect"):
        ComposeKafka().start()


def test_engine_that_hangs_has_a_timeout(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It delays the tests by seconds, not by minutes."""
    monkeypatch.setattr(compose, "ENGINE_TIMEOUT", 0.2)
    docker(calls, "exec /bin/sleep 60")
    with pytest.raises(BrokerUnavailable, match="no Docker engine answers within"):
        ComposeKafka().start()


def test_it_starts_one_service_in_a_project_of_its_own_and_removes_it(calls: Path) -> None:
    """Containers that a person runs from the same file are neither used nor stopped."""
    docker(calls)
    broker = ComposeKafka(COMPOSE_FILE)
    with broker:
        port = broker.bootstrap_servers.removeprefix("127.0.0.1:")
    up, down = calls.read_text().splitlines()[-2:]
    assert up.startswith(f"{port} compose -p kafka-bridge-test-")
    assert up.endswith(f"-f {COMPOSE_FILE} up -d --wait kafka")
    assert down == up.replace("up -d --wait kafka", "down --volumes")


def test_failed_start_is_cleaned_up_and_explained(calls: Path) -> None:
    """A broker that does not become healthy leaves no container behind."""
    docker(calls, 'case "$*" in *" up "*) echo "kafka is unhealthy" >&2; exit 1 ;; esac')
    with pytest.raises(BrokerStartFailed, match="kafka is unhealthy"):
        ComposeKafka(COMPOSE_FILE).start()
    assert calls.read_text().endswith("down --volumes\n")


def test_compose_file_is_found_from_a_directory_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The project has the file at its top."""
    (tmp_path / "deep" / "down").mkdir(parents=True)
    (tmp_path / compose.COMPOSE_FILE).touch()
    monkeypatch.chdir(tmp_path / "deep" / "down")
    assert compose.find_compose_file() == tmp_path / compose.COMPOSE_FILE
