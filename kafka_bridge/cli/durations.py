"""Durations and times, as people write them on a command line."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Parse a duration: ``90s``, ``30m``, ``12h`` or ``7d``.

    :raises typer.BadParameter: the text has another form
    """
    match = re.fullmatch(r"(\d{1,8}(?:\.\d+)?)([smhd])", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a duration. Examples: 90s, 30m, 12h, 7d")
    return timedelta(**{_UNITS[match[2]]: float(match[1])})


def seconds(least: float) -> Callable[[str], float]:
    """Return a parser for a finite number of seconds that is at least ``least``.

    The parser of typer accepts ``inf`` and ``nan`` as numbers.
    """

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number < math.inf:
            raise typer.BadParameter(
                f"expected a number of seconds, at least {least:g}, not {text!r}"
            )
        return number

    return parse


def moment(text: str) -> datetime:
    """Parse a time: an ISO 8601 time (UTC by default), or a duration before now.

    :raises typer.BadParameter: the text has another form
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
            f"{text!r} is not a time. Write how long ago, for example 90s, 30m, 12h or 7d, or a "
            "date and time such as 2026-11-23T09:30"
        ) from None


LongestWait = Annotated[
    timedelta,
    typer.Option(
        parser=duration, metavar="DURATION", help="The longest time that a job is queued, e.g. 7d."
    ),
]
