"""Progress, rates and durations in words, for people."""

from __future__ import annotations

import math

from kafka_bridge.protocol.messages import Progress

_PER = (("s", 1.0), ("min", 60.0), ("h", 3600.0))


def progress_text(progress: Progress, rate: float | None) -> str:
    """Return progress in words: ``25 %: 1 of 4 files, 2.0/s, 2 s left``.

    :param rate: the amount per second, if it is known
    """
    unit = f" {progress.unit}" if progress.unit else ""
    how = f", {pace(rate)}" if rate else ""
    if not progress.total:
        return f"{_number(progress.completed)}{unit}{how}"
    share = 100 * progress.completed / progress.total
    left = (progress.total - progress.completed) / rate if rate else 0.0
    if 0 < left < math.inf:
        how += f", {duration(left)} left"
    return f"{share:.0f} %: {_number(progress.completed)} of {_number(progress.total)}{unit}{how}"


def pace(rate: float) -> str:
    """Return a rate per second, minute or hour: the first in which it is at least 1."""
    name, seconds = next((each for each in _PER if rate * each[1] >= 1), _PER[-1])
    amount = rate * seconds
    return f"{amount:,.0f}/{name}" if amount >= 10 else f"{amount:.1f}/{name}"


def duration(seconds: float) -> str:
    """Return a duration in words: ``45 s``, ``12 min``, ``3 h 20 min``, ``5 days``."""
    minutes = round(seconds / 60)
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes / 1440:,.0f} days"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
