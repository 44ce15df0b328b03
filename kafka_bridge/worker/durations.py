"""Durations as authors write them: a timedelta, or seconds."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TypeAlias

from kafka_bridge.protocol.errors import ConfigurationError

Duration: TypeAlias = timedelta | float
"""A timedelta, or seconds."""


def in_seconds(duration: Duration) -> float:
    """Return a duration in seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else duration


def limit_seconds(duration: Duration | None) -> float | None:
    """Return a ``time_limit`` in seconds; None for no limit.

    :raises ConfigurationError: it is not greater than 0
    """
    if duration is None:
        return None
    seconds = in_seconds(duration)
    if not seconds > 0:
        raise ConfigurationError(f"time_limit must be greater than 0 s, not {seconds} s")
    return seconds


def kill_seconds(duration: Duration) -> float:
    """Return ``kill_after`` in seconds.

    :raises ConfigurationError: it is negative or infinite
    """
    seconds = in_seconds(duration)
    if not 0 <= seconds < math.inf:
        raise ConfigurationError(f"kill_after must be 0 s or more, and finite, not {seconds} s")
    return seconds
