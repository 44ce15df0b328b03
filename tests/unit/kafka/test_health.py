"""Whether a reader hears, as librdkafka's statistics tell."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_bridge.kafka.health import Hearing, hearing_of

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
        pytest.param(UP, CALM, 100, Hearing(True, False, 0), id="all is well"),
        pytest.param(UP, CALM, 40, Hearing(True, False, 60), id="behind"),
        pytest.param(UP, CALM, 101, Hearing(True, False, 0), id="ahead of old statistics"),
        pytest.param(
            UP, {**CALM, "hi_offset": 103}, 100, Hearing(True, True, 0), id="open transaction"
        ),
        pytest.param({**UP, "state": "DOWN"}, CALM, 100, Hearing(False, False, 0), id="down"),
        pytest.param(
            {**UP, "rxidle": 6_000_000}, CALM, 100, Hearing(False, False, 0), id="frozen broker"
        ),
        pytest.param(UP, {**CALM, "leader": 2}, 100, Hearing(False, False, 0), id="other leader"),
        pytest.param(
            UP,
            {"leader": 1, "ls_offset": -1, "hi_offset": 100},
            100,
            Hearing(True, False, 0),
            id="a broker that tells no stable offset",
        ),
    ],
)
def test_hearing(
    broker: dict[str, Any], partition: dict[str, Any], position: int, expected: Hearing
) -> None:
    """Each fault is told apart, and none is seen where there is none."""
    assert hearing_of(statistics(broker, partition), "t", {0: position}) == expected


def test_unknown_partition_is_not_heard() -> None:
    """A partition that the statistics do not know yet is not heard."""
    assert not hearing_of(statistics(UP, CALM), "t", {0: 100, 1: 0}).clear
    assert not hearing_of(statistics(UP), "t", {}).clear


@pytest.mark.parametrize(
    ("hearing", "clear"),
    [
        (Hearing(True, False, 0), True),
        (Hearing(True, False, 10_000), True),
        (Hearing(True, False, 10_001), False),
        (Hearing(True, True, 0), False),
        (Hearing(False, False, 0), False),
    ],
)
def test_clear(hearing: Hearing, clear: bool) -> None:
    """Silence proves something only with a broker, without open transactions, and near the head."""
    assert hearing.clear is clear
