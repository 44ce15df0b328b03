"""Whether a reader hears, as librdkafka's statistics tell."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_bridge.kafka.health import ReaderHealth, reader_health

UP = {"state": "UP", "nodeid": 1, "rxidle": 400_000}
CALM = {"leader": 1, "ls_offset": 100, "hi_offset": 100}


def statistics(broker: dict[str, Any], *partitions: dict[str, Any]) -> dict[str, Any]:
    """Return statistics in librdkafka's form."""
    known = {str(number): facts for number, facts in enumerate(partitions)}
    unassigned = {"leader": -1, "ls_offset": -1, "hi_offset": -1}
    return {
        "brokers": {"b:1/1": broker, "GroupCoordinator": {**UP, "nodeid": -1}},
        "topics": {"t": {"partitions": {**known, "-1": unassigned}}},
    }


@pytest.mark.parametrize(
    ("broker", "partition", "position", "expected"),
    [
        pytest.param(UP, CALM, 100, ReaderHealth(True, False, 0), id="all is well"),
        pytest.param(UP, CALM, 40, ReaderHealth(True, False, 60), id="behind"),
        pytest.param(UP, CALM, 101, ReaderHealth(True, False, 0), id="ahead of old statistics"),
        pytest.param(
            UP, {**CALM, "hi_offset": 103}, 100, ReaderHealth(True, True, 0), id="open transaction"
        ),
        pytest.param({**UP, "state": "DOWN"}, CALM, 100, ReaderHealth(False, False, 0), id="down"),
        pytest.param(
            {**UP, "rxidle": 6_000_000},
            CALM,
            100,
            ReaderHealth(False, False, 0),
            id="frozen broker",
        ),
        pytest.param(
            UP, {**CALM, "leader": 2}, 100, ReaderHealth(False, False, 0), id="other leader"
        ),
        pytest.param(
            UP,
            {"leader": 1, "ls_offset": -1, "hi_offset": 100},
            100,
            ReaderHealth(True, False, 0),
            id="a broker that tells no stable offset",
        ),
    ],
)
def test_each_fault_shows_in_the_health(
    broker: dict[str, Any], partition: dict[str, Any], position: int, expected: ReaderHealth
) -> None:
    """Each fault is told apart, and none is seen where there is none."""
    assert reader_health(statistics(broker, partition), "t", {0: position}) == expected


def test_unknown_partition_makes_the_reader_not_live() -> None:
    """A partition that the statistics do not know yet is not heard."""
    assert not reader_health(statistics(UP, CALM), "t", {0: 100, 1: 0}).is_live
    assert not reader_health(statistics(UP), "t", {}).is_live


@pytest.mark.parametrize(
    ("health", "is_live"),
    [
        (ReaderHealth(True, False, 0), True),
        (ReaderHealth(True, False, 10_000), True),
        (ReaderHealth(True, False, 10_001), False),
        (ReaderHealth(True, True, 0), False),
        (ReaderHealth(False, False, 0), False),
    ],
)
def test_silence_counts_only_when_the_reader_is_live(health: ReaderHealth, is_live: bool) -> None:
    """Silence proves something only with a broker, without open transactions, and near the head."""
    assert health.is_live is is_live
