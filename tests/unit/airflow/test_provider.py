"""The package as Airflow's provider manager sees it."""

from __future__ import annotations

import importlib
import json
from importlib import metadata
from pathlib import Path

import airflow
import jsonschema
import pytest
from airflow.configuration import conf
from airflow.providers_manager import ProvidersManager
from airflow.sdk import task
from airflow_versions import since_airflow

import kafka_bridge
from kafka_bridge.airflow import __all__ as public_names
from kafka_bridge.airflow.links import BatchLink, JobLink
from kafka_bridge.airflow.provider import get_provider_info
from kafka_bridge.airflow.settings import OPTIONS

INFO = get_provider_info()
SCHEMA = json.loads((Path(airflow.__path__[0]) / "provider_info.schema.json").read_text())


@pytest.fixture(scope="module")
def manager() -> ProvidersManager:
    """Give Airflow's provider manager."""
    return ProvidersManager()


def test_description_is_what_airflow_asks_for() -> None:
    """It follows Airflow's own schema, and names no part that the schema does not know."""
    jsonschema.validate(INFO, SCHEMA)
    assert INFO.keys() <= SCHEMA["properties"].keys()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**INFO, "operators": "all"}, SCHEMA)


def test_provider_manager_finds_it(manager: ProvidersManager) -> None:
    """Airflow lists the distribution under its own name, with its version."""
    provider = manager.providers["airflow-kafka-bridge"]
    assert provider.version == kafka_bridge.__version__
    assert provider.data["package-name"] == "airflow-kafka-bridge"


def test_name_is_the_distributions() -> None:
    """What is called a provider is what pip installs: the manager compares the two."""
    entry_points = metadata.entry_points(group="apache_airflow_provider")
    (entry,) = [e for e in entry_points if e.value.startswith("kafka_bridge.")]
    assert entry.dist is not None
    assert entry.dist.name == INFO["package-name"]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("operators", {"KafkaJobOperator", "KafkaJobPublishOperator", "KafkaJobBatchOperator"}),
        ("sensors", {"KafkaJobSensor"}),
        ("triggers", {"KafkaJobTrigger", "KafkaJobBatchTrigger"}),
    ],
)
def test_modules_are_there(kind: str, names: set[str]) -> None:
    """Each module that the description names can be imported and holds what its kind says."""
    (modules,) = [entry["python-modules"] for entry in INFO[kind]]
    found = {name for module in modules for name in vars(importlib.import_module(module))}
    assert names <= found
    assert names <= set(public_names)


def test_decorator_and_links_are_there(manager: ProvidersManager) -> None:
    """`@task.kafka_job` is known to Airflow, and so are the extra links."""
    assert callable(task.kafka_job)
    for link, name in ((JobLink, "Kafka job"), (BatchLink, "Kafka batch")):
        assert f"kafka_bridge.airflow.links.{link.__name__}" in manager.extra_links_class_names
        assert link().name == name


@since_airflow("3.2", "fields of providers in its connection form")
def test_connection_form(manager: ProvidersManager) -> None:
    """The form has a field for each usual property, and does not show the password."""
    hook = manager.hooks["kafka_bridge"]
    assert hook is not None
    assert hook.hook_name == "Apache Kafka (kafka-bridge)"
    prefix = "extra__kafka_bridge__"
    fields = {
        name.removeprefix(prefix): field
        for name, field in manager.connection_form_widgets.items()
        if name.startswith(prefix)
    }
    assert fields.keys() == {
        "bootstrap.servers",
        "security.protocol",
        "sasl.mechanism",
        "sasl.username",
        "sasl.password",
    }
    assert [name for name, field in fields.items() if field.is_sensitive] == ["sasl.password"]
    assert "host" in manager.field_behaviours["kafka_bridge"]["hidden_fields"]


@pytest.mark.parametrize("name", OPTIONS)
def test_configuration_section(
    manager: ProvidersManager, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each option is one that Airflow knows, with its default and a text that explains it."""
    monkeypatch.delenv(f"AIRFLOW__KAFKA_BRIDGE__{name.upper()}", raising=False)
    manager.initialize_providers_configuration()  # before 3.2, Airflow's processes do this
    option = INFO["config"]["kafka_bridge"]["options"][name]
    assert conf.get("kafka_bridge", name) == option["default"] == OPTIONS[name].default
    assert option["description"].endswith(".")
