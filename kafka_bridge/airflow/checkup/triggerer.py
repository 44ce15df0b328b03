"""Whether a triggerer runs. The API server knows it, and so does Airflow's database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Any
from urllib.request import urlopen

from kafka_bridge.airflow.arguments import deferrable
from kafka_bridge.airflow.checkup.database import NoDatabase, require_database
from kafka_bridge.airflow.compat import conf
from kafka_bridge.findings import Finding, Level, error, ok, warning
from kafka_bridge.protocol.sanitize import NAME_BYTES, one_line

PATH = "/api/v2/monitor/health"
"""The API server answers it without a login."""
MOST_BYTES = 100_000
ASK_SECONDS = 4.0
START = "Start one: `airflow triggerer`. Without it, a deferred task waits until it times out."


class NotKnown(Exception):
    """Airflow's health is not known. The text says why."""


def triggerer(seconds: float) -> Iterator[Finding]:
    """Yield whether a triggerer and a scheduler run, or why this is not known."""
    level = Level.ERROR if deferrable(None) else Level.WARNING
    reasons = []
    for source in (_from_api, _from_database):
        try:
            yield from findings_about(source(seconds / 3), level)
        except NotKnown as reason:
            reasons.append(str(reason))
        else:
            return
    yield warning(
        f"not known: {'; '.join(reasons)}",
        "Ask on a machine that has Airflow's database: `airflow jobs check --job-type "
        f"TriggererJob`, or open {PATH} of the API server.",
    )


def findings_about(health: Mapping[str, Any], level: Level) -> Iterator[Finding]:
    """Yield what the answer of Airflow's health endpoint means.

    :param level: the level of the finding that no triggerer runs
    """
    status, heartbeat = _status(health, "triggerer")
    if status == "healthy":
        yield ok(f"healthy; its last heartbeat: {heartbeat}")
    elif heartbeat is None:
        yield Finding(level, "no triggerer has ever run", START)
    else:
        yield Finding(level, f"no triggerer runs; the last heartbeat of one: {heartbeat}", START)
    status, heartbeat = _status(health, "scheduler")
    if status != "healthy":
        yield error(
            f"no scheduler runs; the last heartbeat of one: {heartbeat or 'never'}",
            "Start one: `airflow scheduler`.",
        )


def _status(health: Mapping[str, Any], component: str) -> tuple[str, str | None]:
    facts = health.get(component)
    if not isinstance(facts, dict):
        return "unknown", None
    heartbeat = facts.get(f"latest_{component}_heartbeat")
    shown = None if heartbeat is None else one_line(str(heartbeat), NAME_BYTES)
    status = facts.get("status")  # Airflow 3.4's own function returns a member of a string enum
    return status if isinstance(status, str) else "unknown", shown


def _from_api(seconds: float) -> dict[str, Any]:
    """Return the answer of the API server's health endpoint.

    :raises NotKnown: it does not answer, or something else does
    """
    url = _api_server() + PATH
    if not url.startswith(("http://", "https://")):
        raise NotKnown(f"{url} is not the address of an API server")
    try:
        with urlopen(url, timeout=min(ASK_SECONDS, seconds)) as answer:  # noqa: S310  checked above
            health = json.loads(answer.read(MOST_BYTES))
    except (OSError, HTTPException, ValueError) as failure:
        reason = one_line(str(failure) or type(failure).__name__, NAME_BYTES)
        raise NotKnown(f"the API server did not answer at {url} ({reason})") from failure
    if not isinstance(health, dict) or health.get("metadatabase") != {"status": "healthy"}:
        raise NotKnown(f"the API server at {url} does not know: its database does not answer")
    return health


def _api_server() -> str:
    """Return the address of the API server, as far as this machine's configuration has it."""
    own = conf.get("core", "execution_api_server_url", fallback=None) or ""
    base = conf.get("api", "base_url", fallback=None)
    port = conf.get("api", "port", fallback="8080")
    return str(
        base or own.rstrip("/").removesuffix("/execution") or f"http://localhost:{port}"
    ).rstrip("/")


def _from_database(_: float) -> dict[str, Any]:
    """Return what Airflow's database knows.

    :raises NotKnown: it is not there, or does not answer
    """
    try:
        require_database()
    except NoDatabase as reason:
        raise NotKnown(str(reason)) from reason
    from airflow.api.common.airflow_health import get_airflow_health  # noqa: PLC0415  large

    health = get_airflow_health()
    if health["metadatabase"]["status"] != "healthy":
        raise NotKnown("Airflow's database does not answer")
    return health
