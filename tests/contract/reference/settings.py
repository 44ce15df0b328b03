"""Tables of settings: options of Airflow, fields of the connection, variables of a worker."""

from __future__ import annotations

from kafka_bridge.airflow.provider import get_provider_info
from kafka_bridge.airflow.settings import OPTIONS
from kafka_bridge.conformance import job_types
from kafka_bridge.kafka.config import (
    ENV_BOOTSTRAP,
    ENV_PREFIX,
    ENV_READER_PREFIX,
    GROUP_PREFIX,
)
from kafka_bridge.logs import LogFormat, LogLevel
from kafka_bridge.testing.brokers.external import VARIABLE
from kafka_bridge.testing.brokers.jars import CACHE_VARIABLE
from kafka_bridge.worker.settings import VARIABLES, WorkerSettings

from .commands import options_by_variable
from .tables import Table, Tables, code

LOG_LEVEL = "KAFKA_BRIDGE_LOG_LEVEL"
LOG_FORMAT = "KAFKA_BRIDGE_LOG_FORMAT"
TEST_VARIABLES = (CACHE_VARIABLE, VARIABLE, job_types.NOTES, job_types.ENCODING)
FIRST_VARIABLES = {
    ENV_BOOTSTRAP: "required",
    f"{ENV_PREFIX}…": "",
    ENV_READER_PREFIX: code(GROUP_PREFIX),
}
LAST_VARIABLES = {LOG_LEVEL: code(LogLevel.INFO), LOG_FORMAT: code(LogFormat.TEXT)}


def settings() -> Tables:
    """Return the tables of the page."""
    return {
        "The section [kafka_bridge]": _options(),
        "The connection": _connection(),
        "Variables of a worker": _variables(),
        "Variables of tests": Table(
            ("variable", "meaning"),
            [(code(each),) for each in TEST_VARIABLES],
            [("",)] * len(TEST_VARIABLES),
        ),
    }


def _options() -> Table:
    return Table(
        ("option", "default", "example", "meaning"),
        [
            (code(name), code(each.default) or "empty", code(each.example), each.description)
            for name, each in OPTIONS.items()
        ],
    )


def _connection() -> Table:
    (connection,) = get_provider_info()["connection-types"]
    return Table(
        ("key of the extra", "field of the form", "values", "meaning"),
        [
            (
                code(name),
                each["label"],
                ", ".join(map(code, each["schema"].get("enum", []))) or "text",
                each["description"],
            )
            for name, each in connection["conn-fields"].items()
        ],
    )


def _variables() -> Table:
    options = options_by_variable()
    of_worker = {variable: name for name, (variable, _) in VARIABLES.items()}
    defaults = WorkerSettings("g")
    facts = []
    for variable in (*FIRST_VARIABLES, *of_worker, *LAST_VARIABLES):
        name = of_worker.get(variable, "")
        default = {**FIRST_VARIABLES, **LAST_VARIABLES}.get(variable)
        if default is None:
            default = "required" if name == "group_id" else _shown(getattr(defaults, name))
        option = ", ".join(map(code, options.get(variable, [])))
        facts.append((code(variable), code(name), option, default))
    return Table(
        ("variable", "argument of `Worker`", "option", "default", "meaning"),
        facts,
        [("",)] * len(facts),
    )


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return code("on" if value else "off")
    return code(f"{value:g}" if isinstance(value, float) else str(value))
