"""Whether Airflow, the providers and the plugin are installed, in versions that fit."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement  # Airflow requires it

from kafka_bridge.airflow.compat import plugin_import_errors
from kafka_bridge.findings import Finding, error, ok, warning
from kafka_bridge.protocol.sanitize import one_line

DISTRIBUTION = "airflow-kafka-bridge"
SHOWN = ("apache-airflow", "apache-airflow-providers-apache-kafka")
PLUGIN = "kafka_bridge"


def versions(_: float) -> Iterator[Finding]:
    """Yield the versions of Airflow and its provider, and each version that does not fit."""
    shown = [f"{name} {found}" for name in SHOWN if (found := _installed(name)) is not None]
    if shown:
        yield ok(", ".join(shown))
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        yield warning(
            f"the package {DISTRIBUTION} is not installed in this Python, although its modules can "
            "be imported",
            f"Install it with pip: pip install '{DISTRIBUTION}[airflow]'.",
        )
        return
    for requirement in sorted(map(Requirement, requirements), key=lambda each: each.name):
        if requirement.marker is None or requirement.marker.evaluate({"extra": "airflow"}):
            yield from _misfit(requirement)


def _misfit(requirement: Requirement) -> Iterator[Finding]:
    found, wanted = _installed(requirement.name), str(requirement.specifier)
    advice = f"Install it with pip: pip install '{requirement.name}{wanted}'."
    if found is None:
        yield error(f"{requirement.name} is not installed, and kafka-bridge needs it", advice)
    elif not requirement.specifier.contains(found, prereleases=True):
        yield error(
            f"{requirement.name} {found} is installed, and kafka-bridge needs {wanted}", advice
        )


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def provider(_: float) -> Iterator[Finding]:
    """Yield whether Airflow has found the provider: its connection type, options and links."""
    from airflow.providers_manager import ProvidersManager  # noqa: PLC0415  large

    if DISTRIBUTION in ProvidersManager().providers:
        yield ok(f"Airflow has loaded the provider {DISTRIBUTION}")
    else:
        yield error(
            f"Airflow has not found the provider {DISTRIBUTION}",
            "Install the package with pip in the Python of every Airflow process.",
        )


def plugin(_: float) -> Iterator[Finding]:
    """Yield whether Airflow can load the plugin, which cancels the jobs of marked tasks."""
    from airflow import plugins_manager  # noqa: PLC0415  large

    names = {each["name"] for each in plugins_manager.get_plugin_info(["name"])}
    if PLUGIN in names:
        yield ok(f"Airflow can load the plugin {PLUGIN} here; the API server needs it")
        return
    problems = plugin_import_errors().items()
    reasons = [one_line(f"{name}: {text}") for name, text in problems if PLUGIN in name]
    because = f" ({'; '.join(reasons)})" if reasons else ""
    yield error(
        f"Airflow cannot load the plugin {PLUGIN}{because}: marking a task does not cancel its job "
        "at once",
        "Install the package with pip in the Python of the API server.",
    )
