"""A retention in words."""

from __future__ import annotations

import pytest

from kafka_bridge.kafka.admin.retention import in_words


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (4 * 86_400_000, "4 days"),
        (86_400_000, "1 day"),
        (3_600_000, "1 hour"),
        (5_400_000, "1 hour 30 minutes"),
        (90_061_001, "1 day 1 hour 1 minute 1 second 1 ms"),
        (2**63 - 1, "106,751,991,167 days 7 hours 12 minutes 55 seconds 807 ms"),
        (500, "500 ms"),
        (0, "0 ms"),
        (-1, "forever"),
    ],
)
def test_retention_is_written_as_people_write_it(milliseconds: int, words: str) -> None:
    """Only the units that count, in the singular where it is one."""
    assert in_words(milliseconds) == words
