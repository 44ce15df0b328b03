"""A partition that stands still is noticed; one that has a reason to is not."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from kafka_bridge.kafka.health import STALL_SECONDS, StallWatch

BEHIND = {"fetch_state": "active", "fetchq_cnt": 0, "next_offset": 5, "ls_offset": 9}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the time, as the one item of a list."""
    now = [1000.0]
    monkeypatch.setattr("kafka_bridge.kafka.health.time.monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("then", "stalled"),
    [
        pytest.param({}, True, id="stands still"),
        pytest.param({"next_offset": 6}, False, id="moves"),
        pytest.param({"next_offset": 9}, False, id="at the end"),
        pytest.param({"ls_offset": 5, "hi_offset": 9}, False, id="open transaction"),
        pytest.param({"fetchq_cnt": 3}, False, id="a full local queue"),
        pytest.param({"fetch_state": "offset-query"}, False, id="looks for its offset"),
    ],
)
def test_partition_that_does_not_move_is_stalled_after_30_s(
    clock: list[float],
    caplog: pytest.LogCaptureFixture,
    then: dict[str, Any],
    stalled: bool,
) -> None:
    """It is told apart from all that is usual, after half a minute, and logged once."""
    watch = StallWatch("t")
    with caplog.at_level(logging.ERROR, "kafka_bridge"):
        assert not watch.look({"0": BEHIND})
        clock[0] += STALL_SECONDS
        assert watch.look({"0": {**BEHIND, **then}}) is stalled
        clock[0] += 1
        watch.look({"0": {**BEHIND, **then}})
    lines = [each.getMessage() for each in caplog.records]
    assert len(lines) == stalled
    assert all(
        "t[0]: the consumer has been at offset 5 for 30 s, although the partition ends at 9" in x
        for x in lines
    )


def test_paused_partition_starts_its_time_again(clock: list[float]) -> None:
    """Neither a pause nor a broker that is away counts as standing still."""
    watch = StallWatch("t")
    for _ in range(4):
        assert not watch.look({"0": BEHIND})
        clock[0] += STALL_SECONDS
        assert not watch.look({})


def test_partition_that_moves_starts_its_time_again(clock: list[float]) -> None:
    """Only standing still without a pause counts."""
    watch = StallWatch("t")
    for _ in range(10):
        clock[0] += STALL_SECONDS / 2
        assert not watch.look({"0": BEHIND})
        clock[0] += STALL_SECONDS / 4
        assert not watch.look({"0": {**BEHIND, "next_offset": 9}})
