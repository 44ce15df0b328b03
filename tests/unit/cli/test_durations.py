"""Durations and moments on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
import typer

from kafka_bridge.cli.durations import duration, moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("1.5h", timedelta(minutes=90)),
        ("99999999d", timedelta(days=99_999_999)),
    ],
)
def test_duration_is_parsed_from_number_and_unit(text: str, expected: timedelta) -> None:
    """Seconds, minutes, hours and days are understood, with a fraction too."""
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["", "7", "d", "7 d", "7w", "-7d", "1e3s", "1h30m", "9" * 9 + "d"])
def test_other_durations_are_refused_with_examples(text: str) -> None:
    """Other texts, and durations that a calendar cannot hold, are refused."""
    words = f"{text!r} is not a duration. Examples: 90s, 30m, 12h, 7d"
    with pytest.raises(typer.BadParameter, match=re.escape(words)):
        duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-23T09:30", datetime(2026, 11, 23, 9, 30, tzinfo=UTC)),
        ("2026-11-23T09:30:15Z", datetime(2026, 11, 23, 9, 30, 15, tzinfo=UTC)),
        ("2026-11-23T09:30+01:00", datetime(2026, 11, 23, 8, 30, tzinfo=UTC)),
    ],
)
def test_iso_time_is_parsed_and_utc_by_default(text: str, expected: datetime) -> None:
    """A time without a zone is UTC."""
    assert moment(text) == expected


def test_duration_means_a_time_before_now() -> None:
    """A duration is counted back from now."""
    expected = datetime.now(UTC) - timedelta(hours=2)
    assert abs(moment("2h") - expected) < timedelta(seconds=30)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "99999999d", "-2h"])
def test_other_times_are_refused_with_examples(text: str) -> None:
    """What is neither, or before the calendar's first day, is said so."""
    words = f"{text!r} is not a time. Write how long ago, for example 90s, 30m, 12h or 7d, or a"
    with pytest.raises(typer.BadParameter, match=re.escape(words)):
        moment(text)
