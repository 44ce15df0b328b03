"""Whether the section ``[kafka_bridge]`` of Airflow's configuration is valid."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator
from types import SimpleNamespace

from kafka_bridge.airflow import arguments
from kafka_bridge.airflow.board.address import is_switched_on
from kafka_bridge.airflow.compat import conf
from kafka_bridge.airflow.limits import job_limits
from kafka_bridge.airflow.links import BatchLink, JobLink
from kafka_bridge.airflow.settings import CONFIGURED, OPTIONS, SECTION, configured
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.findings import Finding, error, ok, warning
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.sanitize import NAME_BYTES, one_line

NAMES = ("kafka_config_id", "request_topic", "response_topic", "control_topic")


def options(_: float) -> Iterator[Finding]:
    """Yield the options that are unknown or have an invalid value."""
    findings = [*_unknown(), *_invalid()]
    yield from findings
    if not findings:
        yield ok("all options are known and valid")


def _given() -> set[str]:
    """Return the names of the options that are set, or have a default."""
    prefix = f"AIRFLOW__{SECTION.upper()}__"
    variables = {
        name.removeprefix(prefix).lower() for name in os.environ if name.startswith(prefix)
    }
    # Before Airflow 3.3, a section does not have the variables of unknown options.
    return {str(name) for name in conf.getsection(SECTION) or {}} | variables


def _unknown() -> Iterator[Finding]:
    for name in sorted(_given()):
        if name not in OPTIONS:
            likely = difflib.get_close_matches(name, OPTIONS, 1)
            shown = one_line(name, NAME_BYTES)
            yield warning(
                f"[{SECTION}] {shown} is not an option of kafka-bridge and has no effect",
                f"Did you mean {likely[0]}?" if likely else "Correct or remove it.",
            )


def _invalid() -> Iterator[Finding]:
    for look in _LOOKS:
        try:
            look()
        except ConfigurationError as failure:
            yield error(str(failure))


def _names() -> None:
    for name in NAMES:
        if not configured(name).strip():
            raise ConfigurationError(
                f"[{SECTION}] {name} must not be empty: remove it, or set it to a name"
            )


def _heartbeats() -> None:
    arguments.require_longer(
        arguments.seconds("heartbeat_timeout", CONFIGURED),
        arguments.seconds("heartbeat_interval", CONFIGURED),
    )


def _link(kind: type[JobLink]) -> None:
    facts = dict.fromkeys(kind.fields, "x")
    task = SimpleNamespace(**{kind.attribute: facts})
    kind().get_link(task, ti_key=None)  # type: ignore[arg-type]


_LOOKS: tuple[Callable[[], object], ...] = (
    _names,
    lambda: arguments.encoding(CONFIGURED, Reply.EVENTS),
    _heartbeats,
    lambda: arguments.limit("schedule_to_start_timeout", CONFIGURED),
    lambda: arguments.limit("start_to_close_timeout", CONFIGURED),
    lambda: arguments.limit("schedule_to_close_timeout", CONFIGURED),
    lambda: arguments.seconds("wait_before_deferring", CONFIGURED, may_be_0=True),
    job_limits,
    lambda: _link(JobLink),
    lambda: _link(BatchLink),
    is_switched_on,
    lambda: arguments.seconds("board_since", CONFIGURED),
)
"""Each raises a ConfigurationError about an invalid option."""
