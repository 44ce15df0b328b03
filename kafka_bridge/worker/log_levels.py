"""From which level on the log lines of a job reach its task's log."""

from __future__ import annotations

from typing import Any

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.log_lines import LEVELS

OFF = "OFF"
"""No line is forwarded."""
EXPECTED = f"one of {', '.join(LEVELS)} or {OFF}"


def level_name(value: Any) -> str:
    """Return the name of a level in upper case.

    :raises ValueError: it is not the name of a level, nor ``OFF``
    """
    name = value.upper() if isinstance(value, str) else value
    if name not in (*LEVELS, OFF):
        raise ValueError(value)
    return str(name)


def forwarded_level(value: Any) -> str:
    """Return ``forward_logs`` as it is set in a program, in upper case.

    :raises ConfigurationError: it is not the name of a level, nor ``OFF``
    """
    try:
        return level_name(value)
    except ValueError:
        raise ConfigurationError(f"forward_logs must be {EXPECTED}, not {value!r:.100}") from None
