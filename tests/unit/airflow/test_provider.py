"""The package as Airflow's provider manager sees it."""

from __future__ import annotations

import importlib
import json
from importlib import metadata
from pathlib import Path

import airflow
import jsonschema
import pytest
from airflow.providers_manager import ProvidersManager

import kafka_bridge
from kafka_bridge.airflow import __all__ as public_names
from kafka_bridge.airflow.provider import get_provider_info

INFO = get_provider_info()
SCHEMA = json.loads((Path(airflow.__path__[0]) / "provider_info.schema.json").read_text())


def test_description_is_what_airflow_asks_for() -> None:
    """It follows Airflow's own schema, and names no part that the schema does not know."""
    jsonschema.validate(INFO, SCHEMA)
    assert INFO.keys() <= SCHEMA["properties"].keys()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**INFO, "operators": "all"}, SCHEMA)


def test_provider_manager_finds_it() -> None:
    """Airflow lists the distribution under its own name, with its version."""
    provider = ProvidersManager().providers["airflow-kafka-bridge"]
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
    [("operators", {"KafkaJobOperator"}), ("triggers", {"KafkaJobTrigger"})],
)
def test_modules_are_there(kind: str, names: set[str]) -> None:
    """Each module that the description names can be imported and holds what its kind says."""
    (modules,) = [entry["python-modules"] for entry in INFO[kind]]
    found = {name for module in modules for name in vars(importlib.import_module(module))}
    assert names <= found
    assert names <= set(public_names)
