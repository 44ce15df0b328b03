"""Durations and moments as people write them on a command line."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import typer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Return what ``90s``, ``30m``, ``12h`` or ``7d`` says.

    :raises typer.BadParameter: it is none of these
    """
    match = re.fullmatch(r"(\d{1,8}(?:\.\d+)?)([smhd])", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no duration: write 90s, 30m, 12h or 7d")
    return timedelta(**{_UNITS[match[2]]: float(match[1])})


def seconds(least: float) -> Callable[[str], float]:
    """Return what reads a finite number of seconds, which is not below ``least``.

    Not typer's own: there, ``inf`` and ``nan`` are numbers.
    """

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number < math.inf:
            raise typer.BadParameter(
                f"expected a number of seconds, at least {least:g}, not {text!r}"
            )
        return number

    return read


def moment(text: str) -> datetime:
    """Return the moment so long ago, or the one that an ISO 8601 time names, UTC where it has none.

    :raises typer.BadParameter: it is neither
    """
    try:
        named = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return named if named.tzinfo is not None else named.replace(tzinfo=UTC)
    try:
        return datetime.now(UTC) - duration(text)
    except (typer.BadParameter, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no time: write 90s, 30m, 12h or 7d for so long ago, or a date and time "
            "like 2026-11-23T09:30"
        ) from None
