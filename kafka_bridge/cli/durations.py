"""Durations and times, as people write them on a command line."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

_DURATION = re.compile(r"(\d{1,8}(?:\.\d+)?)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Parse a duration: ``90s``, ``30m``, ``12h`` or ``7d``.

    :raises typer.BadParameter: the text has another form
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a duration. Examples: 90s, 30m, 12h, 7d")
    return timedelta(**{_UNITS[match[2]]: float(match[1])})


def seconds(least: float) -> Callable[[str], float]:
    """Return a parser for a number of seconds that is at least ``least``, or a duration like 2m.

    The parser of typer accepts ``inf`` and ``nan`` as numbers.
    """

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = duration(text).total_seconds() if _DURATION.fullmatch(text) else math.nan
        if not least <= number < math.inf:
            raise typer.BadParameter(
                f"expected a number of seconds, at least {least:g}, or a duration such as 2m, "
                f"not {text!r}"
            )
        return number

    return parse


def moment(text: str) -> datetime:
    """Parse a time: an ISO 8601 time (UTC by default), or a duration before now.

    :raises typer.BadParameter: the text has another form
    """
    if (named := _named(text)) is not None:
        return named
    try:
        return datetime.now(UTC) - duration(text)
    except (typer.BadParameter, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is not a time. Write how long ago, for example 90s, 30m, 12h or 7d, or a "
            "date and time such as 2026-11-23T09:30"
        ) from None


def later(text: str) -> datetime:
    """Parse a time in the future: an ISO 8601 time (UTC by default), or a duration from now on.

    :raises typer.BadParameter: the text has another form, or the time has passed
    """
    now = datetime.now(UTC)
    try:
        found = _named(text) or now + duration(text)
    except (typer.BadParameter, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is not a time. Write in how long, for example 90s, 30m, 12h or 7d, or a "
            "date and time such as 2026-11-23T09:30"
        ) from None
    if found <= now:
        raise typer.BadParameter(f"{text!r} has passed. Times without a zone are in UTC")
    return found.replace(microsecond=found.microsecond // 1000 * 1000)  # as in a message


def _named(text: str) -> datetime | None:
    """Return the time that a text names, in UTC by default; None if it is something else."""
    try:
        named = datetime.fromisoformat(text)
    except ValueError:
        return None
    return named if named.tzinfo is not None else named.replace(tzinfo=UTC)


LongestWait = Annotated[
    timedelta,
    typer.Option(
        parser=duration, metavar="DURATION", help="The longest time that a job is queued, e.g. 7d."
    ),
]
