"""The last ids of many, in little memory."""

from __future__ import annotations

import tracemalloc
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.recent_ids import RecentIds


def ids(count: int) -> list[bytes]:
    """Return new ids."""
    return [new_correlation_id().encode() for _ in range(count)]


def test_last_ids_are_held_and_old_ones_dropped() -> None:
    """At least half of the most, at most all."""
    recent, added = RecentIds(100), ids(1_000)
    dropped = [recent.add(each) for each in added]
    assert [number for number, each in enumerate(dropped) if each][:2] == [100, 150]
    held = [each for each in added if each in recent]
    assert held == added[-len(recent) :]
    assert 50 <= len(recent) <= 100


@given(st.lists(st.uuids(), max_size=300), st.lists(st.uuids(), max_size=50))
def test_an_id_is_held_exactly_if_it_was_added(
    added: list[uuid.UUID], others: list[uuid.UUID]
) -> None:
    """No other id is taken for it."""
    recent = RecentIds(10_000)
    for each in added:
        recent.add(str(each).encode())
    for each in [*added, *others]:
        assert (str(each).encode() in recent) is (each in added)


def test_two_ids_side_by_side_are_not_taken_for_a_third(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of one and the beginning of the next look like an id."""
    monkeypatch.setattr("kafka_bridge.protocol.recent_ids._BUCKETS", 1)
    monkeypatch.setattr("kafka_bridge.protocol.recent_ids._MARKS", 1)
    recent = RecentIds(10)
    for digit in "12":
        recent.add(str(uuid.UUID(digit * 32)).encode())
    third = str(uuid.UUID("1" * 16 + "2" * 16)).encode()
    assert third not in recent
    recent.add(third)
    assert third in recent


@pytest.mark.parametrize("text", [b"", b"k" * 36, b"k" * 900_000, b"1" * 36])
def test_what_is_no_id_is_not_held(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may write keys into a topic; no job has such an id."""
    monkeypatch.setattr("kafka_bridge.protocol.recent_ids._MARKS", 1)
    recent = RecentIds(10)
    recent.add(ids(1)[0])
    assert not recent.add(text)
    assert text not in recent
    assert len(recent) == 1


def test_an_id_takes_little_memory() -> None:
    """A worker holds millions at times."""
    added = ids(100_000)
    tracemalloc.start()
    recent = RecentIds(200_000)
    for each in added:
        recent.add(each)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 1.1 * 2**20 + 25 * len(added)
