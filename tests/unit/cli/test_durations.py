"""Durations and moments on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
import typer

from kafka_bridge.cli.durations import duration, later, moment, seconds


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


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90.0), ("0.5", 0.5), ("90s", 90.0), ("2m", 120.0), ("1d", 86_400)]
)
def test_seconds_may_have_a_unit(text: str, expected: float) -> None:
    """A number alone is seconds."""
    assert seconds(0)(text) == expected


@pytest.mark.parametrize("text", ["inf", "nan", "-1", "2w", "", "0.5s"])
def test_other_seconds_are_refused_with_an_example(text: str) -> None:
    """Also those that are too few."""
    with pytest.raises(typer.BadParameter, match="or a duration such as 2m"):
        seconds(1)(text)


def test_duration_means_a_time_after_now() -> None:
    """An ISO time is that time."""
    assert abs(later("2h") - datetime.now(UTC) - timedelta(hours=2)) < timedelta(seconds=30)
    assert later("2999-01-01") == datetime(2999, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "words"),
    [("soon", "is not a time"), ("2020-01-01", "has passed"), ("0s", "has passed")],
)
def test_time_that_has_passed_is_refused(text: str, words: str) -> None:
    """The job would fail at once."""
    with pytest.raises(typer.BadParameter, match=words):
        later(text)
