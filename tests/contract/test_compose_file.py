"""docker-compose.kafka.yml is a valid Compose file, and a safe and reproducible one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.validators import validator_for

from kafka_bridge.testing.brokers.jars import KAFKA_VERSION

HERE = Path(__file__).parent
COMPOSE: dict[str, Any] = yaml.safe_load((HERE.parents[1] / "docker-compose.kafka.yml").read_text())
SCHEMA: dict[str, Any] = json.loads((HERE / "data" / "compose-spec.json").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())


def problems(compose: dict[str, Any]) -> list[str]:
    """List what the Compose Specification's own schema has against a file."""
    return [error.message for error in validator_for(SCHEMA)(SCHEMA).iter_errors(compose)]


def test_it_follows_the_compose_specification() -> None:
    """Every key is one that Compose knows, with a value of the right kind."""
    assert problems(COMPOSE) == []


def test_the_schema_notices_a_misspelt_key() -> None:
    """The check above can fail: a healthcheck that is spelt wrongly is found."""
    broken = json.loads(json.dumps(COMPOSE))
    broken["services"]["kafka"]["healthchek"] = broken["services"]["kafka"].pop("healthcheck")
    assert any("healthchek" in problem for problem in problems(broken))


def test_kafka_registry_and_web_page_are_there() -> None:
    """One command brings up a broker, a schema registry and a web page to look inside."""
    assert set(SERVICES) == {"kafka", "schema-registry", "kafka-ui"}


@every_service
def test_images_are_pinned(service: dict[str, Any]) -> None:
    """The same file starts the same software next year: a full version, never `latest`."""
    _name, _, tag = service["image"].rpartition(":")
    assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag), service["image"]


def test_kafka_is_the_version_that_tests_run_without_docker() -> None:
    """Whoever tests with Docker and whoever tests with a JDK see the same Kafka."""
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


@every_service
def test_ports_are_reachable_from_this_machine_only(service: dict[str, Any]) -> None:
    """Nothing here has a password, so nothing listens on another address than loopback."""
    assert service["ports"]
    assert all(str(port).startswith("127.0.0.1:") for port in service["ports"])


@every_service
def test_health_is_checked(service: dict[str, Any]) -> None:
    """`up --wait` returns when a service answers, not when its process exists."""
    check = service["healthcheck"]
    assert check["test"]
    assert "disable" not in check
    assert {"interval", "timeout", "retries"} <= set(check)


@every_service
def test_dependent_containers_wait_for_health(service: dict[str, Any]) -> None:
    """A service starts once what it needs answers."""
    for name, condition in service.get("depends_on", {}).items():
        assert name in SERVICES
        assert condition == {"condition": "service_healthy"}


def test_registry_and_web_page_depend_on_kafka() -> None:
    """The test above has something to look at."""
    assert "kafka" in SERVICES["schema-registry"]["depends_on"]
    assert "kafka" in SERVICES["kafka-ui"]["depends_on"]


def test_data_lie_in_named_volumes() -> None:
    """Topics survive `down`, and Kafka writes where the volume is mounted."""
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    assert mounts
    assert {mount.split(":")[0] for mount in mounts} == set(COMPOSE["volumes"])
    assert SERVICES["kafka"]["environment"]["KAFKA_LOG_DIRS"] in {
        mount.split(":")[1] for mount in SERVICES["kafka"]["volumes"]
    }


def test_host_and_containers_have_a_listener_each() -> None:
    """Programs here are sent back to the loopback address, containers to the service's name."""
    environment = SERVICES["kafka"]["environment"]
    told = dict(
        listener.split("://") for listener in environment["KAFKA_ADVERTISED_LISTENERS"].split(",")
    )
    assert told == {"HOST": "127.0.0.1:${KAFKA_PORT:-9092}", "INTERNAL": "kafka:19092"}
    bound = environment["KAFKA_LISTENERS"].split(",")
    assert {"HOST://:9092", "INTERNAL://:19092"} < set(bound)


def test_containers_use_the_listener_for_containers() -> None:
    """The registry and the web page would be sent to themselves by the other one."""
    registry = SERVICES["schema-registry"]["environment"]
    page = SERVICES["kafka-ui"]["environment"]
    assert registry["APICURIO_KAFKASQL_BOOTSTRAP_SERVERS"] == "kafka:19092"
    assert page["KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS"] == "kafka:19092"


def test_it_is_kraft_and_creates_no_topics_by_itself() -> None:
    """No ZooKeeper; a misspelt topic is an error, as in production."""
    environment = SERVICES["kafka"]["environment"]
    assert environment["KAFKA_PROCESS_ROLES"] == "broker,controller"
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
